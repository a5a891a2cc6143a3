// One client's fuzzy watch: which of the names that match has it been told of, and what it has still to hear.

/// A watch of a connection, by what it watches.
struct FuzzyWatchName: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case services
        case items
    }

    var kind: Kind
    var pattern: FuzzyPattern
}

/// The names are keys as Nacos writes them. Inputs are past-tense methods.
struct FuzzyWatch: Sendable {
    struct Change: Hashable, Sendable {
        var key: String
        var isAdded: Bool
    }

    enum Sync: Sendable, Equatable {
        /// The first picture, in parts.
        case first([Change])
        case firstEnded
        case later([Change])
    }

    /// Keys in one message.
    static let batchLimit = 100
    /// Watches of one connection.
    static let limit = 100

    private var known: Set<String>
    private var waiting: [Change] = []
    private var isFirst: Bool
    private var inFlight: Sync?

    /// `received` is what the client knows from before; `matching` is what there is.
    init(received: Set<String>, matching: Set<String>, isInitializing: Bool) {
        isFirst = isInitializing
        known = matching
        waiting = matching.subtracting(received).sorted().map { Change(key: $0, isAdded: true) }
        waiting += received.subtracting(matching).sorted().map { Change(key: $0, isAdded: false) }
    }

    var hasSync: Bool { inFlight == nil && (isFirst || !waiting.isEmpty) }

    /// Something that matches came or went, or only changed.
    mutating func changed(_ key: String, exists: Bool) {
        guard known.contains(key) != exists else { return }
        if exists { known.insert(key) } else { known.remove(key) }
        // What was not told yet need not be told.
        if let position = waiting.firstIndex(where: { $0.key == key }) {
            waiting.remove(at: position)
        } else {
            waiting.append(Change(key: key, isAdded: exists))
        }
    }

    /// The next message; with `again` the last one once more. Nil while an answer is awaited or there is nothing.
    mutating func takeSync(again: Bool) -> Sync? {
        if again, let inFlight { return inFlight }
        guard hasSync else { return nil }
        let batch = Array(waiting.prefix(Self.batchLimit))
        waiting.removeFirst(batch.count)
        if batch.isEmpty {
            isFirst = false
            inFlight = .firstEnded
        } else {
            inFlight = isFirst ? .first(batch) : .later(batch)
        }
        return inFlight
    }

    mutating func answered() { inFlight = nil }
}
