// What the catalogue refuses, and the limits it refuses by.

/// The catalogue's limits. Crossing one is refused with a problem that names it.
package struct CatalogueLimits: Sendable {
    package var records = 100_000
    package var subscriptions = 200_000
    /// Names a feed remembers before it says `everything`.
    package var feedNames = 10_000

    package init() {}
}

package enum CatalogueProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case tooManyRecords(limit: Int)
    case tooManySubscriptions(limit: Int)

    package var description: String {
        switch self {
        case .tooManyRecords(let limit):
            "the catalogue holds \(limit) instances, its limit; deregister some"
        case .tooManySubscriptions(let limit):
            "the catalogue holds \(limit) subscriptions, its limit; end some"
        }
    }
}
