// Events that were read together, shared by every watch that stands at the same place.

import Objects
import Storage
import Synchronization

/// The events of one prefix between two revisions, and the forms that they have been handed out in.
package final class EventBatch: Sendable {
    package let events: [StoreEvent]
    /// Everything of the prefix up to this revision is in this batch or came before it.
    package let upTo: UInt64
    /// Whether a limit ended the batch, so that there is more to read at once.
    let isCut: Bool
    private let forms = Mutex(Forms())

    private struct Forms {
        var encoded: [String: [UInt8]] = [:]
        var told: [String: [WatchEvent]] = [:]
    }

    package init(events: [StoreEvent], upTo: UInt64, isCut: Bool = false) {
        self.events = events
        self.upTo = upTo
        self.isCut = isCut
    }

    /// The events as bytes: made once for all who ask for the same form. `form` names everything that the bytes depend
    /// on besides the events.
    package func encoded(as form: String, _ encode: ([StoreEvent]) throws -> [UInt8]) rethrows -> [UInt8] {
        try shared(\.encoded, form, encode)
    }

    /// The events as values, for watches within this program: parsed once for all who ask for the same form, who then
    /// share the objects.
    package func told(
        as form: String, _ tell: ([StoreEvent]) throws -> [WatchEvent]
    ) rethrows -> [WatchEvent] {
        try shared(\.told, form, tell)
    }

    private func shared<Form: Sendable>(
        _ made: WritableKeyPath<Forms, [String: Form]>, _ form: String, _ make: ([StoreEvent]) throws -> Form
    ) rethrows -> Form {
        try forms.withLock { forms in
            if let known = forms[keyPath: made][form] { return known }
            let fresh = try make(events)
            forms[keyPath: made][form] = fresh
            return fresh
        }
    }
}

/// The batches that were read last. A thousand watches of one prefix that a commit wakes read it once.
struct RecentBatches: Sendable {
    private struct Place: Hashable {
        let prefix: String
        let after: UInt64
    }

    private let limit: Int
    private var batches: [Place: EventBatch] = [:]
    private var order: [Place] = []

    init(limit: Int) { self.limit = limit }

    func batch(of prefix: String, after revision: UInt64) -> EventBatch? {
        batches[Place(prefix: prefix, after: revision)]
    }

    /// Keeps a batch, or returns the one of another reader who was faster: all go on from the same place then.
    mutating func keep(_ batch: EventBatch, of prefix: String, after revision: UInt64) -> EventBatch {
        let place = Place(prefix: prefix, after: revision)
        if let other = batches[place] { return other }
        if order.count >= limit { batches[order.removeFirst()] = nil }
        order.append(place)
        batches[place] = batch
        return batch
    }
}
