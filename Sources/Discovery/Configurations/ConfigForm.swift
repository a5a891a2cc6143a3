// Configuration items and ConfigMaps are one thing seen twice: how each is read as the other.

import Formats
import Objects

/// The labels and annotations that say which ConfigMap is which item.
package enum ConfigMark {
    /// On a ConfigMap of yours it says which item that is.
    package static let dataID = "mangrove.dev/nacos-data-id"
    /// `DEFAULT_GROUP` where it is absent.
    package static let group = "mangrove.dev/nacos-group"
    /// The member of `data` that is the content; without it the one named like the data id, else the only one.
    package static let key = "mangrove.dev/nacos-key"
    package static let type = "mangrove.dev/nacos-type"
    /// What Nacos knows beside, as JSON; not for people to write.
    package static let details = "mangrove.dev/nacos-details"
    package static let managedBy = "app.kubernetes.io/managed-by"
    package static let manager = "nacos.mangrove.dev"
    /// On the ConfigMap that keeps an item's history.
    package static let historyOf = "mangrove.dev/nacos-history-of"
}

package enum ConfigForm {
    static let betaKey = "nacos-beta"
    static let tagPrefix = "nacos-tag."
    static let plainKey = "content"
    static let historyKey = "versions"

    // MARK: Names

    /// `nacos-<what is left of the data id>-<hash>`: the same name always gives the same.
    package static func objectName(_ name: ConfigName) -> String {
        ConfigMapName.make(prefix: "nacos", rest: name.dataID, whole: "\(name.group)@@\(name.dataID)")
    }

    package static func historyName(_ name: ConfigName) -> String { objectName(name) + "-history" }

    /// Whether a ConfigMap says that it is an item.
    package static func isItem(_ object: Object) -> Bool {
        object.tree["metadata", "annotations", ConfigMark.dataID]?.string?.isEmpty == false
    }

    /// Whether a ConfigMap was made here; only such a one is deleted with its item.
    static func isOwn(_ object: Object) -> Bool { object.labels[ConfigMark.managedBy] == ConfigMark.manager }

    static func name(of object: Object) -> ConfigName? {
        let annotations = object.annotations
        guard let dataID = annotations[ConfigMark.dataID], !dataID.isEmpty else { return nil }
        let group = annotations[ConfigMark.group] ?? ""
        return ConfigName(
            namespace: object.namespace, group: group.isEmpty ? ConfigName.defaultGroup : group, dataID: dataID)
    }

    // MARK: Reading

    /// The item that a ConfigMap is; nil when it is none, or when it does not say which member is the content.
    package static func item(of object: Object) -> ConfigItem? {
        guard let name = name(of: object), !object.isTerminating else { return nil }
        let data = object["data"]?.stringMap ?? [:]
        let details = details(of: object)
        var item = ConfigItem(
            name: name, text: contentKey(of: object, name, data).flatMap { data[$0] }.map(ConfigText.init))
        item.details = details.details
        if let content = data[betaKey] { item.beta = BetaText(addresses: details.beta, text: ConfigText(content)) }
        for (key, content) in data where key.hasPrefix(tagPrefix) {
            item.tagged[String(key.dropFirst(tagPrefix.count))] = ConfigText(content)
        }
        if item.text == nil, item.beta == nil, item.tagged.isEmpty { return nil }
        return item
    }

    private static func contentKey(of object: Object, _ name: ConfigName, _ data: [String: String]) -> String? {
        if let key = object.annotations[ConfigMark.key], !key.isEmpty { return key }
        if data[name.dataID] != nil { return name.dataID }
        let plain = data.keys.filter { $0 != betaKey && !$0.hasPrefix(tagPrefix) }
        return plain.count == 1 ? plain.first : nil
    }

    private static func details(of object: Object) -> (details: ConfigDetails, beta: [String]) {
        let annotations = object.annotations
        let tree = annotations[ConfigMark.details].flatMap { try? JSON(parsing: $0) } ?? [:]
        var details = ConfigDetails(tree)
        details.type = annotations[ConfigMark.type] ?? ""
        if details.createdMilliseconds == 0 { details.createdMilliseconds = creation(of: object) }
        if details.modifiedMilliseconds == 0 { details.modifiedMilliseconds = details.createdMilliseconds }
        return (details, tree["betaIps"]?.strings ?? [])
    }

    private static func creation(of object: Object) -> UInt64 {
        let seconds = object.creationTimestamp.flatMap { Timestamp(rfc3339: $0) }?.secondsSinceEpoch ?? 0
        return UInt64(max(seconds, 0)) * 1_000
    }

    // MARK: Writing

    /// The ConfigMap with a draft in it: a new one, or the current one with everything else kept.
    static func object(_ draft: ConfigDraft, over current: Object?, nowMilliseconds: UInt64) -> Object {
        var object = current ?? fresh(draft.name)
        var (details, beta) = current.map { self.details(of: $0) } ?? (ConfigDetails(), [])
        var data = object["data"] ?? [:]
        switch draft.variant {
        case .everyone:
            let key =
                contentKey(of: object, draft.name, data.stringMap)
                ?? (isLegalKey(draft.name.dataID) ? draft.name.dataID : plainKey)
            data[key] = .string(draft.content)
            details.take(draft.details)
        case .beta(let addresses):
            data[betaKey] = .string(draft.content)
            beta = addresses
        case .tag(let tag): data[tagPrefix + tag] = .string(draft.content)
        }
        if details.createdMilliseconds == 0 { details.createdMilliseconds = nowMilliseconds }
        details.modifiedMilliseconds = max(nowMilliseconds, details.modifiedMilliseconds + 1)
        object["data"] = data
        write(details, beta, to: &object)
        return object
    }

    /// The ConfigMap without a beta or tagged text; nil when nothing would be left of it.
    static func object(without variant: ConfigVariant, over current: Object, nowMilliseconds: UInt64) -> Object? {
        var object = current
        var data = object["data"] ?? [:]
        var (details, beta) = details(of: current)
        switch variant {
        case .everyone: return nil
        case .beta:
            data[betaKey] = JSON?.none
            beta = []
        case .tag(let tag): data[tagPrefix + tag] = JSON?.none
        }
        guard data.object?.isEmpty == false else { return nil }
        object["data"] = data
        details.modifiedMilliseconds = max(nowMilliseconds, details.modifiedMilliseconds + 1)
        write(details, beta, to: &object)
        return object
    }

    /// A ConfigMap of somebody else's, no longer an item.
    static func released(_ current: Object) -> Object {
        var object = current
        var annotations = object.annotations
        for key in [ConfigMark.dataID, ConfigMark.group, ConfigMark.key, ConfigMark.type, ConfigMark.details] {
            annotations[key] = nil
        }
        object.annotations = annotations
        return object
    }

    static func annotated(_ current: Object, labels: String?, summary: String?) -> Object {
        var object = current
        var (details, beta) = details(of: current)
        if let labels { details.labels = labels }
        if let summary { details.summary = summary }
        write(details, beta, to: &object)
        return object
    }

    private static func fresh(_ name: ConfigName) -> Object {
        var object = Object(.configMaps, namespace: name.namespace, name: objectName(name))
        object.labels = [ConfigMark.managedBy: ConfigMark.manager]
        object.annotations = [ConfigMark.dataID: name.dataID, ConfigMark.group: name.group]
        return object
    }

    private static func write(_ details: ConfigDetails, _ beta: [String], to object: inout Object) {
        var annotations = object.annotations
        annotations[ConfigMark.type] = details.type.isEmpty ? nil : details.type
        var tree = details.tree
        if !beta.isEmpty { tree["betaIps"] = .array(beta.map { .string($0) }) }
        annotations[ConfigMark.details] = tree.text
        object.annotations = annotations
    }

    /// Whether a text may be a member of a ConfigMap's `data`, and is none that is used here for other things.
    private static func isLegalKey(_ text: String) -> Bool {
        guard text != betaKey, !text.hasPrefix(tagPrefix), text != ".", !text.hasPrefix("..") else { return false }
        return NameRules.configKeyMessages(text).isEmpty
    }
}

extension ConfigDetails {
    private static let texts: [(String, WritableKeyPath<ConfigDetails, String> & Sendable)] = [
        ("appName", \.application), ("desc", \.summary), ("configTags", \.labels),
        ("encryptedDataKey", \.encryptedDataKey), ("srcUser", \.writer), ("srcIp", \.writerAddress), ("use", \.use),
        ("effect", \.effect), ("schema", \.schema),
    ]

    init(_ tree: JSON) {
        self.init()
        for (key, path) in Self.texts { self[keyPath: path] = tree[key]?.string ?? "" }
        type = tree["type"]?.string ?? ""
        createdMilliseconds = UInt64(max(tree["created"]?.integer ?? 0, 0))
        modifiedMilliseconds = UInt64(max(tree["modified"]?.integer ?? 0, 0))
    }

    /// Everything but the type, which has an annotation of its own.
    var tree: JSON {
        var tree: JSON = [:]
        for (key, path) in Self.texts where !self[keyPath: path].isEmpty { tree[key] = .string(self[keyPath: path]) }
        tree["created"] = .integer(Int64(clamping: createdMilliseconds))
        tree["modified"] = .integer(Int64(clamping: modifiedMilliseconds))
        return tree
    }

    /// Takes what a writer said; what it left out stays, but the writer and the encryption are always the last one's.
    mutating func take(_ other: ConfigDetails) {
        for (_, path) in Self.texts where !other[keyPath: path].isEmpty { self[keyPath: path] = other[keyPath: path] }
        if !other.type.isEmpty { type = other.type }
        encryptedDataKey = other.encryptedDataKey
        writer = other.writer
        writerAddress = other.writerAddress
    }
}
