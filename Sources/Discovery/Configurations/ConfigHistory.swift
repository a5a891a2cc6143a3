// An item's history as the one ConfigMap that keeps it.

import Formats
import Objects

enum ConfigHistory {
    /// The entries that a history ConfigMap keeps, the newest first.
    static func versions(in object: Object, of name: ConfigName) -> [ConfigVersion] {
        let text = object["data", ConfigForm.historyKey]?.string ?? "[]"
        let trees = (try? JSON(parsing: text))?.array ?? []
        return trees.compactMap { tree in
            guard let number = tree["nid"]?.integer, let deed = ConfigVersion.Deed(rawValue: tree["deed"]?.string ?? "")
            else { return nil }
            return ConfigVersion(
                number: UInt64(max(number, 0)), name: name, deed: deed, content: tree["content"]?.string ?? "",
                details: ConfigDetails(tree["details"] ?? [:]))
        }
    }

    /// The history with one more entry, and without the oldest ones that are too many.
    static func object(
        of name: ConfigName, adding deed: ConfigVersion.Deed, content: String, details: ConfigDetails,
        over current: Object?, nowMilliseconds: UInt64, limits: ConfigLimits
    ) -> Object {
        var object = current ?? fresh(name)
        var versions = current.map { self.versions(in: $0, of: name) } ?? []
        var details = details
        details.modifiedMilliseconds = nowMilliseconds
        let number = max((versions.first?.number ?? 0) + 1, nowMilliseconds)
        versions.insert(
            ConfigVersion(number: number, name: name, deed: deed, content: content, details: details), at: 0)
        versions = Array(versions.prefix(limits.historyEntries))
        var kept: [JSON] = []
        var size = 0
        for version in versions {
            size += version.content.utf8.count
            if size > limits.historyBytes, !kept.isEmpty { break }
            kept.append(tree(version))
        }
        object["data"] = [ConfigForm.historyKey: .string(JSON.array(kept).text)]
        return object
    }

    private static func tree(_ version: ConfigVersion) -> JSON {
        var details = version.details.tree
        if !version.details.type.isEmpty { details["type"] = .string(version.details.type) }
        return [
            "nid": .integer(Int64(clamping: version.number)), "deed": .string(version.deed.rawValue),
            "content": .string(version.content), "details": details,
        ]
    }

    private static func fresh(_ name: ConfigName) -> Object {
        var object = Object(.configMaps, namespace: name.namespace, name: ConfigForm.historyName(name))
        object.labels = [ConfigMark.managedBy: ConfigMark.manager]
        object.annotations = [ConfigMark.historyOf: "\(name.group)@@\(name.dataID)"]
        return object
    }
}
