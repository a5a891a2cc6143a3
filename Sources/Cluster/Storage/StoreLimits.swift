// The named limits of a store.

/// What a store holds at most before it refuses or forgets.
package struct StoreLimits: Sendable {
    /// The longest value of one record, as etcd's request limit.
    package var recordBytes = 1_572_864
    /// What records and history may take of the database; a store over it takes deletions only.
    package var databaseBytes = 2 << 30
    /// What deletions may take beyond that, until they have freed what they delete.
    package var deletionBytes = 64 << 20
    /// Events that a store over its size goes on remembering.
    package var fullHistoryEvents = 64
    /// Events that are remembered for watches and for reads at an older revision.
    package var historyEvents = 20_000
    /// Bytes that those events hold, what they replaced included.
    package var historyBytes = 128 << 20
    /// Rows of forgotten history that one commit deletes at most besides two for each of its own writes.
    package var compactedRows = 64
    /// The write-ahead log is brought into the database when it has grown to this.
    package var logBytes = 8 << 20
    /// Writers that may wait for the disk at one time.
    package var waitingWrites = 8_192
    /// Bytes of the values that those writers wait with.
    package var waitingBytes = 128 << 20
    /// Writes that share one commit.
    package var batchWrites = 1_024

    package init() {}
}
