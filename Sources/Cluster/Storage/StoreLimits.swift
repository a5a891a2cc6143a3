// The named limits of a store.

/// What a store holds at most before it refuses or forgets.
package struct StoreLimits: Sendable {
    /// The longest value of one record, as etcd's request limit.
    package var recordBytes = 1_572_864
    /// The largest database file; a write that does not fit fails and changes nothing.
    package var databaseBytes = 2 << 30
    /// Events that are remembered for watches and for reads at an older revision.
    package var historyEvents = 20_000
    /// Bytes of the values that those events hold.
    package var historyBytes = 128 << 20
    /// Writers that may wait for the disk at one time.
    package var waitingWrites = 8_192
    /// Bytes of the values that those writers wait with.
    package var waitingBytes = 128 << 20
    /// Writes that share one commit.
    package var batchWrites = 1_024

    package init() {}
}
