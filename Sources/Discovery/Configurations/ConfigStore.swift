// The port between configuration and whoever shows it: reads from memory, writes that are stored when they return.

import Timing

/// Configuration items and their history.
///
/// Reads are quick and may come from anywhere; after a write returns, they show it. A name that nobody published has no
/// item.
package protocol ConfigStore: Sendable {
    /// Whether the first full picture is in; before that nothing may be concluded from what is missing.
    var isComplete: Bool { get }
    /// Returns when it is, or the task is cancelled.
    func waitUntilComplete() async

    func item(_ name: ConfigName) -> ConfigItem?
    /// The items of one namespace in the order of their names; of all namespaces for nil.
    func items(namespace: String?) -> [ConfigItem]
    /// A feed of the names of items that changed from now on. Let go of it to end it.
    func changes() -> ChangeFeed<ConfigName>

    func publish(_ draft: ConfigDraft) async throws(ConfigProblem)
    /// Removes one text; with the text for everyone the whole item goes. False when there was none.
    func remove(_ name: ConfigName, _ variant: ConfigVariant, by details: ConfigDetails) async throws(ConfigProblem)
        -> Bool
    /// Changes labels and summary without a new version; nil leaves them. False when there is no item.
    func annotate(_ name: ConfigName, labels: String?, summary: String?) async throws(ConfigProblem) -> Bool
    /// The newest first; also of items that are gone.
    func history(of name: ConfigName) async throws(ConfigProblem) -> [ConfigVersion]
}
