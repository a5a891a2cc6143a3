// Turns what happened to records into the lines of a watch; pure.

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

    /// The line of an object that was there when the watch began; nil when it is not selected.
    mutating func found(_ record: Record, now: Timestamp) throws(FormatProblem) -> [UInt8]? {
        if options.hasSelector, options.rulesOut(record) { return nil }
        if options.hasSelector, !isSelected(try object(record)) { return nil }
        return try line(.added, record, now: now)
    }

    /// The line of an event; nil when the watch does not see it.
    ///
    /// An object that comes to match is ADDED, one that ceases to match is DELETED in its last matching state.
    mutating func happened(_ event: StoreEvent, now: Timestamp) throws(FormatProblem) -> [UInt8]? {
        guard options.hasSelector else {
            let kind: Kind = event.kind == .delete ? .deleted : event.previous == nil ? .added : .modified
            return try line(kind, event.record, now: now)
        }
        if options.rulesOut(event.record), event.previous.map(options.rulesOut) ?? true { return nil }
        var wasSelected = false
        if let previous = event.previous { wasSelected = isSelected(try object(previous)) }
        if event.kind == .delete { return wasSelected ? try line(.deleted, event.record, now: now) : nil }
        let isSelected = isSelected(try object(event.record))
        switch (wasSelected, isSelected) {
        case (false, false): return nil
        case (false, true): return try line(.added, event.record, now: now)
        case (true, true): return try line(.modified, event.record, now: now)
        case (true, false):
            guard let previous = event.previous else { return nil }
            var object = try object(previous)
            object.resourceVersion = String(event.revision)
            return try line(.deleted, object, now: now)
        }
    }

    /// The lines of a batch. Watches that write an event all alike share its bytes: a thousand informers cost one
    /// encoding.
    mutating func lines(of batch: EventBatch, now: Timestamp) throws -> [UInt8] {
        guard let sharedForm else { return try lines(of: batch.events, now: now) }
        return try batch.encoded(as: sharedForm) { try lines(of: $0, now: now) }
    }

    private mutating func lines(of events: [StoreEvent], now: Timestamp) throws -> [UInt8] {
        var lines: [UInt8] = []
        for event in events {
            if let line = try happened(event, now: now) { lines.append(contentsOf: line) }
        }
        return lines
    }

    /// Everything up to `revision` has been sent; the first one after the initial events says so.
    mutating func bookmark(
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

    func failure(_ problem: Problem) throws(FormatProblem) -> [UInt8] { try line("ERROR", problem.status) }

    private func isSelected(_ object: Object) -> Bool { options.matches(object, by: served.strategy) }

    private mutating func line(_ kind: Kind, _ record: Record, now: Timestamp) throws(FormatProblem) -> [UInt8] {
        if presentation.representation == .object, presentation.format == .json,
            !StoredVersions.needConversion(served.resource)
        {
            return WatchMachine.line(kind.rawValue, record.bytes)
        }
        return try line(kind, object(record), now: now)
    }

    private mutating func line(_ kind: Kind, _ object: Object, now: Timestamp) throws(FormatProblem) -> [UInt8] {
        try line(kind.rawValue, rendered(object, now: now))
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
