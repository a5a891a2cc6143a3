// What the store keeps, tells and hands out: records, events and pages.

/// A stored value with the revisions that made it.
package struct Record: Sendable, Hashable {
    package let key: String
    /// As the writer encoded them, never looked into.
    package let bytes: [UInt8]
    /// The revision of the write that made this value; of a deleted record, the revision of the deletion.
    package let revision: UInt64
    /// The revision at which the key came to be.
    package let createRevision: UInt64

    package init(key: String, bytes: [UInt8], revision: UInt64, createRevision: UInt64) {
        self.key = key
        self.bytes = bytes
        self.revision = revision
        self.createRevision = createRevision
    }

    /// Whether a word of ASCII is anywhere in the bytes: what mentions it nowhere need not be parsed for it.
    package func mentions(_ word: String) -> Bool {
        let word = Array(word.utf8)
        guard let first = word.first, bytes.count >= word.count else { return word.isEmpty }
        for start in 0...(bytes.count - word.count) where bytes[start] == first {
            if bytes[start..<(start + word.count)].elementsEqual(word) { return true }
        }
        return false
    }
}

/// One committed write. Every revision has exactly one.
package struct StoreEvent: Sendable, Hashable {
    package enum Kind: Sendable { case put, delete }

    package let kind: Kind
    /// What is stored now; of a deletion, the final state that the deleter encoded.
    package let record: Record
    /// What was stored before; nil when the key was created.
    package let previous: Record?

    package var revision: UInt64 { record.revision }
    package var key: String { record.key }

    package init(kind: Kind, record: Record, previous: Record?) {
        self.kind = kind
        self.record = record
        self.previous = previous
    }
}

/// Records of one prefix in the order of their keys, all as they were at one revision.
package struct Page: Sendable, Hashable {
    package let records: [Record]
    /// The revision that the page shows; pass it on to read the next page of the same moment.
    package let revision: UInt64
    /// How many records follow the last one of this page.
    package let remaining: Int

    package init(records: [Record], revision: UInt64, remaining: Int) {
        self.records = records
        self.revision = revision
        self.remaining = remaining
    }
}
