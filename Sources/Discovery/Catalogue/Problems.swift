// What the catalogue refuses, and the limits it refuses by.

/// The catalogue's limits. Crossing one is refused with a problem that names it.
package struct CatalogueLimits: Sendable {
    package var records = 100_000
    /// Records that follow from others; beyond this many no more are made.
    package var impliedRecords = 200_000
    package var subscriptions = 200_000
    /// Names a feed remembers before it says `everything`.
    package var feedNames = 10_000
    /// Rows of the table of interfaces, in all namespaces.
    package var mappings = 20_000
    /// Documents of applications' revisions.
    package var revisions = 20_000
    /// The longest row of the table of interfaces.
    package static let mappingBytes = 64 << 10

    package init() {}
}

package enum CatalogueProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case tooManyRecords(limit: Int)
    case tooManySubscriptions(limit: Int)
    case tooManyMappings(limit: Int)
    case tooManyRevisions(limit: Int)
    case mappingTooLong(Int)
    /// The row of the table has another version than the writer took it to have; nil when there is none.
    case mappingMoved(current: Int32?)

    package var description: String {
        switch self {
        case .tooManyRecords(let limit):
            "the catalogue holds \(limit) instances, its limit; deregister some"
        case .tooManySubscriptions(let limit):
            "the catalogue holds \(limit) subscriptions, its limit; end some"
        case .tooManyMappings(let limit):
            "the table of interfaces holds \(limit) rows, its limit; remove some"
        case .tooManyRevisions(let limit):
            "the catalogue holds \(limit) documents of revisions, its limit; remove some"
        case .mappingTooLong(let limit):
            "a row of the table of interfaces may have \(limit) bytes; name fewer applications"
        case .mappingMoved(let current):
            "the row of the table of interfaces is at version \(current.map { "\($0)" } ?? "none"); read it again"
        }
    }
}

/// How much the catalogue holds.
package struct CatalogueCounts: Sendable, Equatable {
    /// Services that show at least one instance.
    package var services = 0
    /// What writers declared, by origin.
    package var declared: [Origin: Int] = [:]
    /// Of those, the ones that need beats: what an interface compares the beats it gets with.
    package var leased: [Origin: Int] = [:]
    /// What follows from other records.
    package var implied = 0
    package var subscriptions = 0
}
