// Which item each ConfigMap is, and which ConfigMap stands for an item when several claim it.

import Objects

/// The items by name. Inputs are past-tense methods; each returns the names that look different now.
package struct ConfigMachine: Sendable {
    private struct Entry: Sendable {
        var item: ConfigItem
        /// The ConfigMap that was first counts; the name decides between those of one second.
        var seniority: Seniority
        var revision: UInt64
        var uid: String
    }

    private struct Seniority: Hashable, Comparable, Sendable {
        var created: String
        var name: String

        static func < (left: Seniority, right: Seniority) -> Bool {
            (left.created, left.name) < (right.created, right.name)
        }
    }

    private var entries: [ObjectKey: Entry] = [:]
    private var claims: [ConfigName: [ObjectKey]] = [:]

    package init() {}

    package var count: Int { claims.count }

    package func item(_ name: ConfigName) -> ConfigItem? { holder(of: name).flatMap { entries[$0]?.item } }

    /// The ConfigMap that stands for an item.
    package func holder(of name: ConfigName) -> ObjectKey? { claims[name]?.first }

    /// Whether a write can be seen: this revision of the ConfigMap or a later one, or its end where it is no item.
    package func shows(_ object: Object) -> Bool {
        guard let entry = entries[object.key] else {
            return !ConfigForm.isItem(object) || object.resourceVersion.isEmpty
        }
        guard ConfigForm.isItem(object) else { return false }
        if object.resourceVersion.isEmpty { return entry.uid != object.uid }
        return entry.revision >= UInt64(object.resourceVersion) ?? 0
    }

    /// The ConfigMaps that claim an item and are not shown.
    package func outdone(for name: ConfigName) -> [ObjectKey] { Array((claims[name] ?? []).dropFirst()) }

    package func items(namespace: String?) -> [ConfigItem] {
        let names = claims.keys.filter { namespace == nil || $0.namespace == namespace }
        return names.sorted().compactMap { item($0) }
    }

    /// A ConfigMap was made or changed.
    package mutating func received(_ object: Object) -> Set<ConfigName> {
        guard let item = ConfigForm.item(of: object) else { return removed(object.key) }
        let before = entries[object.key]?.item
        let revision = UInt64(object.resourceVersion) ?? 0
        if before == item {
            entries[object.key]?.revision = revision
            return []
        }
        var changed: Set<ConfigName> = [item.name]
        if let before, before.name != item.name { changed.formUnion(removed(object.key)) }
        let seniority = Seniority(created: object.creationTimestamp ?? "", name: object.name)
        entries[object.key] = Entry(item: item, seniority: seniority, revision: revision, uid: object.uid)
        var keys = claims[item.name] ?? []
        if !keys.contains(object.key) { keys.append(object.key) }
        claims[item.name] = keys.sorted { left, right in
            guard let first = entries[left]?.seniority, let second = entries[right]?.seniority else {
                return left < right
            }
            return first < second
        }
        return changed
    }

    /// A ConfigMap is gone.
    package mutating func removed(_ key: ObjectKey) -> Set<ConfigName> {
        guard let entry = entries.removeValue(forKey: key) else { return [] }
        claims[entry.item.name]?.removeAll { $0 == key }
        if claims[entry.item.name]?.isEmpty == true { claims[entry.item.name] = nil }
        return [entry.item.name]
    }
}
