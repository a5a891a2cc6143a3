// Turns what happened to records into what a watch tells, as lines or as values; pure.

import Formats
import Objects
import Storage
import Watching

/// Which events a watch shows and how they are written (upstream: storage/cacher/cache_watcher.go).
struct WatchMachine: Sendable {
    enum Kind: String, Sendable { case added = "ADDED", modified = "MODIFIED", deleted = "DELETED" }

    let served: ServedResource
    let options: ListOptions
    let presentation: Presentation
    /// Names what the bytes of an event depend on besides the event; nil where they depend on the watch itself.
    private let sharedForm: String?
    /// Columns go with the first table only.
    private var hasSentColumns = false

    init(served: ServedResource, options: ListOptions, presentation: Presentation) {
        self.served = served
        self.options = options
        self.presentation = presentation
        if case .table = presentation.representation {
            sharedForm = nil
        } else {
            sharedForm =
                options.hasSelector
                ? nil : "\(served.resource.apiVersion) \(served.resource.plural) \(presentation)"
        }
    }

    /// What a watch is told of one object.
    struct Telling: Sendable {
        let kind: Kind
        let state: State

        enum State: Sendable {
            /// The record as it is; with its object where that had to be looked at.
            case record(Record, Object?)
            /// A state that no record has.
            case object(Object)
        }
    }

    /// What is told at one time.
    enum Turn: Sendable {
        /// What was there when the watch began; then, where it is wanted, the revision that this state is of.
        case began([Telling], end: UInt64?)
        /// What happened since, if anything; then, where it is time to say so, up to where everything has been told.
        case went(EventBatch?, bookmark: UInt64?)
        case failed(Problem)
    }

    /// What is told of an object that was there when the watch began; nil when it is not selected.
    func found(_ record: Record) throws(FormatProblem) -> Telling? {
        guard options.hasSelector else { return Telling(kind: .added, state: .record(record, nil)) }
        if options.rulesOut(record) { return nil }
        let object = try object(record)
        return isSelected(object) ? Telling(kind: .added, state: .record(record, object)) : nil
    }

    /// What is told of an event; nil when the watch does not see it.
    ///
    /// An object that comes to match is ADDED, one that ceases to match is DELETED in its last matching state.
    private func happened(_ event: StoreEvent) throws(FormatProblem) -> Telling? {
        guard options.hasSelector else {
            let kind: Kind = event.kind == .delete ? .deleted : event.previous == nil ? .added : .modified
            return Telling(kind: kind, state: .record(event.record, nil))
        }
        if options.rulesOut(event.record), event.previous.map(options.rulesOut) ?? true { return nil }
        var wasSelected = false
        if let previous = event.previous { wasSelected = isSelected(try object(previous)) }
        if event.kind == .delete {
            return wasSelected ? Telling(kind: .deleted, state: .record(event.record, nil)) : nil
        }
        let object = try object(event.record)
        switch (wasSelected, isSelected(object)) {
        case (false, false): return nil
        case (false, true): return Telling(kind: .added, state: .record(event.record, object))
        case (true, true): return Telling(kind: .modified, state: .record(event.record, object))
        case (true, false):
            guard let previous = event.previous else { return nil }
            var last = try self.object(previous)
            last.resourceVersion = String(event.revision)
            return Telling(kind: .deleted, state: .object(last))
        }
    }

    // MARK: As lines

    mutating func lines(of turn: Turn, now: Timestamp) throws -> [UInt8] {
        switch turn {
        case .began(let tellings, let end):
            var lines: [UInt8] = []
            for telling in tellings { lines += try line(telling, now: now) }
            if let end { lines += try bookmark(end, endsInitialEvents: true, now: now) }
            return lines
        case .went(let batch, let bookmark):
            var lines = try batch.map { try self.lines(of: $0, now: now) } ?? []
            if let bookmark { lines += try self.bookmark(bookmark, endsInitialEvents: false, now: now) }
            return lines
        case .failed(let problem): return try line("ERROR", problem.status)
        }
    }

    /// The lines of a batch. Watches that write an event all alike share its bytes: a thousand informers cost one
    /// encoding.
    private mutating func lines(of batch: EventBatch, now: Timestamp) throws -> [UInt8] {
        guard let sharedForm else { return try lines(of: batch.events, now: now) }
        return try batch.encoded(as: sharedForm) { try lines(of: $0, now: now) }
    }

    private mutating func lines(of events: [StoreEvent], now: Timestamp) throws -> [UInt8] {
        var lines: [UInt8] = []
        for telling in try events.compactMap({ try happened($0) }) { lines += try line(telling, now: now) }
        return lines
    }

    // MARK: As values

    /// Throws the problem of a turn that failed.
    mutating func events(of turn: Turn, now: Timestamp) throws -> [WatchEvent] {
        switch turn {
        case .began(let tellings, let end):
            return try tellings.map { try event($0, now: now) } + Self.bookmark(end)
        case .went(let batch, let bookmark):
            return try (batch.map { try events(of: $0, now: now) } ?? []) + Self.bookmark(bookmark)
        case .failed(let problem): throw problem
        }
    }

    private static func bookmark(_ revision: UInt64?) -> [WatchEvent] {
        revision.map { [.bookmark(resourceVersion: String($0))] } ?? []
    }

    /// The events of a batch, whose objects are shared like the bytes of lines.
    private mutating func events(of batch: EventBatch, now: Timestamp) throws -> [WatchEvent] {
        guard let sharedForm else { return try events(of: batch.events, now: now) }
        return try batch.told(as: sharedForm) { try events(of: $0, now: now) }
    }

    private mutating func events(of events: [StoreEvent], now: Timestamp) throws -> [WatchEvent] {
        try events.compactMap { try happened($0) }.map { try event($0, now: now) }
    }

    private mutating func event(_ telling: Telling, now: Timestamp) throws(FormatProblem) -> WatchEvent {
        let object = Object(rendered(try object(telling.state), now: now))
        return switch telling.kind {
        case .added: .added(object)
        case .modified: .modified(object)
        case .deleted: .deleted(object)
        }
    }

    // MARK: Forms

    /// Everything up to `revision` has been sent; the first one after the initial events says so.
    private mutating func bookmark(
        _ revision: UInt64, endsInitialEvents: Bool, now: Timestamp
    ) throws(FormatProblem) -> [UInt8] {
        var metadata: JSON = ["resourceVersion": .string(String(revision)), "creationTimestamp": .null]
        if endsInitialEvents { metadata["annotations"] = ["k8s.io/initial-events-end": "true"] }
        let object = Object([
            "kind": .string(served.resource.kind), "apiVersion": .string(served.resource.apiVersion),
            "metadata": metadata,
        ])
        return try line("BOOKMARK", rendered(object, now: now))
    }

    private func isSelected(_ object: Object) -> Bool { options.matches(object, by: served.strategy) }

    private mutating func line(_ telling: Telling, now: Timestamp) throws(FormatProblem) -> [UInt8] {
        if case .record(let record, _) = telling.state, presentation.isStored,
            !StoredVersions.needConversion(served.resource)
        {
            return WatchMachine.line(telling.kind.rawValue, record.bytes)
        }
        return try line(telling.kind.rawValue, rendered(object(telling.state), now: now))
    }

    private func line(_ type: String, _ tree: JSON) throws(FormatProblem) -> [UInt8] {
        guard presentation.format == .protobuf else { return WatchMachine.line(type, tree.bytes) }
        return KubernetesProtobuf.watchFrame(type, try KubernetesProtobuf.bytes(of: tree))
    }

    private mutating func rendered(_ object: Object, now: Timestamp) -> JSON {
        switch presentation.representation {
        case .object: return object.tree
        case .partialMetadata: return PartialMetadata.tree(of: object)
        case .table(let include):
            let metadata: JSON = ["resourceVersion": .string(object.resourceVersion)]
            let table = served.printer.table(
                of: [object], metadata: metadata, include: include, now: now, withColumns: !hasSentColumns)
            hasSentColumns = true
            return table
        }
    }

    private func object(_ state: Telling.State) throws(FormatProblem) -> Object {
        switch state {
        case .record(_, let object?), .object(let object): object
        case .record(let record, nil): try object(record)
        }
    }

    private func object(_ record: Record) throws(FormatProblem) -> Object {
        try ObjectRecords.object(of: record, as: served.resource)
    }

    private static func line(_ type: String, _ object: [UInt8]) -> [UInt8] {
        var line: [UInt8] = []
        line.reserveCapacity(object.count + 32)
        line.append(contentsOf: "{\"type\":\"\(type)\",\"object\":".utf8)
        line.append(contentsOf: object)
        line.append(contentsOf: "}\n".utf8)
        return line
    }
}
