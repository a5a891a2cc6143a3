// What the configuration refuses, and the limits it refuses by.

/// The limits of configuration. Crossing one is refused with a problem that names it.
package struct ConfigLimits: Sendable {
    /// Nacos' own default (`max-content`).
    package var contentBytes = 100 << 10
    /// Tagged texts of one item.
    package var tags = 16
    /// Addresses of a beta text.
    package var betaAddresses = 256
    /// Entries of an item's history; the oldest go first.
    package var historyEntries = 10
    /// Bytes of an item's history.
    package var historyBytes = 512 << 10
    /// The names a feed remembers before it says `everything`.
    package var feedNames = 10_000
    /// How often a write is tried again when another writer was faster.
    package var attempts = 8
    /// How long a writer waits to see its own write in memory; it is stored by then.
    package var visibilityPatience: Duration = .seconds(5)

    package init() {}
}

package enum ConfigProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// The text is not the one that the writer had seen.
    case changed
    case noNamespace(String)
    case tooLong(limitBytes: Int)
    case tooMany(what: String, limit: Int)
    /// A ConfigMap that is none of configuration's has the name.
    case inTheWay(String)
    /// The first full picture is not in yet.
    case starting
    /// The API server refused it or did not answer.
    case notStored(String)

    package var description: String {
        switch self {
        case .changed: "Cas publish fail, server md5 may have changed."
        case .noNamespace(let name):
            "namespace '\(name)' does not exist and cannot be made: Kubernetes has no such names, or it is the cluster's own"
        case .tooLong(let limit): "the content is longer than \(limit) bytes, the limit"
        case .tooMany(let what, let limit): "there are more \(what) than \(limit), the limit"
        case .inTheWay(let name): "the ConfigMap \(name) has the name that this item's would get; rename it"
        case .starting: "the configuration is still loading, please try again"
        case .notStored(let message): "the configuration was not stored: \(message)"
        }
    }
}
