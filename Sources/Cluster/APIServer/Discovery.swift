// The documents from which clients learn what is served: legacy, one per group and version, and aggregated.

import Crypto
import Formats
import Objects

/// Pure: from the table of served resources to discovery documents (upstream: kubernetes/api/discovery).
struct Discovery: Sendable {
    let served: ServedResources

    static let aggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

    /// Whether a client wants `/api` or `/apis` aggregated before it wants anything else that is served.
    static func wantsAggregated(accept: String?) -> Bool {
        for range in MediaRange.list(accept) where range.isJSON {
            guard let kind = range.parameters["as"] else { return false }
            if kind == "APIGroupDiscoveryList", range.parameters["g"] == "apidiscovery.k8s.io",
                range.parameters["v"] == "v2"
            {
                return true
            }
        }
        return false
    }

    /// `/api`
    func coreVersions(serverAddress: String) -> JSON {
        [
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [["clientCIDR": "0.0.0.0/0", "serverAddress": .string(serverAddress)]],
        ]
    }

    /// `/apis`
    func groupList() -> JSON {
        let groups = served.groups.filter { !$0.name.isEmpty }
        return [
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": .array(groups.map { Discovery.group($0.name, $0.versions) }),
        ]
    }

    /// `/apis/<group>`; nil for one that is not served.
    func group(_ name: String) -> JSON? {
        guard let group = served.groups.first(where: { $0.name == name && !name.isEmpty }) else { return nil }
        var tree: JSON = ["kind": "APIGroup", "apiVersion": "v1"]
        for member in Discovery.group(group.name, group.versions).object ?? JSONObject() {
            tree[member.key] = member.value
        }
        return tree
    }

    private static func group(_ name: String, _ versions: [String]) -> JSON {
        let entries: [JSON] = versions.map { ["groupVersion": .string("\(name)/\($0)"), "version": .string($0)] }
        return ["name": .string(name), "versions": .array(entries), "preferredVersion": entries.first ?? .null]
    }

    /// `/api/v1`, `/apis/<group>/<version>`; nil when nothing is served there.
    func resourceList(group: String, version: String) -> JSON? {
        var entries: [JSON] = []
        for each in served.all where each.resource.group == group && each.resource.version == version {
            entries.append(Discovery.entry(each))
            entries += Discovery.subresources(of: each).map { Discovery.entry($0, of: each.resource) }
        }
        if entries.isEmpty { return nil }
        return [
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": .string(group.isEmpty ? version : "\(group)/\(version)"), "resources": .array(entries),
        ]
    }

    private static func entry(_ each: ServedResource) -> JSON {
        let resource = each.resource
        var entry: JSON = [
            "name": .string(resource.plural), "singularName": .string(resource.singular),
            "namespaced": .bool(resource.isNamespaced), "kind": .string(resource.kind), "verbs": texts(resource.verbs),
        ]
        if !resource.shortNames.isEmpty { entry["shortNames"] = texts(resource.shortNames) }
        if !resource.categories.isEmpty { entry["categories"] = texts(resource.categories) }
        // Kinds that are never stored have no storage version.
        if each.backing == .stored { entry["storageVersionHash"] = .string(storageVersionHash(resource)) }
        return entry
    }

    private static func subresources(of served: ServedResource) -> [Subresource] {
        served.subresources.compactMap {
            served.custom?.subresource($0.rawValue) ?? ResourceTable.subresource($0.rawValue, of: served.resource)
        }
    }

    private static func entry(_ subresource: Subresource, of resource: Resource) -> JSON {
        var entry: JSON = [
            "name": .string("\(resource.plural)/\(subresource.name)"), "singularName": "",
            "namespaced": .bool(resource.isNamespaced), "kind": .string(subresource.kind),
            "verbs": texts(subresource.verbs),
        ]
        if (subresource.group, subresource.version) != (resource.group, resource.version) {
            entry["group"] = .string(subresource.group)
            entry["version"] = .string(subresource.version)
        }
        return entry
    }

    /// The APIGroupDiscoveryList of `/api` (the core group) or `/apis` (all others).
    func aggregated(core: Bool) -> JSON {
        let items = served.groups.filter { $0.name.isEmpty == core }.map { group -> JSON in
            [
                "metadata": group.name.isEmpty
                    ? ["creationTimestamp": .null] : ["name": .string(group.name), "creationTimestamp": .null],
                "versions": .array(group.versions.map { aggregatedVersion(group.name, $0) }),
            ]
        }
        return [
            "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": [:],
            "items": .array(items),
        ]
    }

    private func aggregatedVersion(_ group: String, _ version: String) -> JSON {
        let resources = served.all.filter { $0.resource.group == group && $0.resource.version == version }.map {
            each -> JSON in
            let resource = each.resource
            var entry: JSON = [
                "resource": .string(resource.plural),
                "responseKind": Discovery.kind(resource.group, resource.version, resource.kind),
                "scope": resource.isNamespaced ? "Namespaced" : "Cluster",
                "singularResource": .string(resource.singular),
                "verbs": Discovery.texts(resource.verbs),
            ]
            if !resource.shortNames.isEmpty { entry["shortNames"] = Discovery.texts(resource.shortNames) }
            if !resource.categories.isEmpty { entry["categories"] = Discovery.texts(resource.categories) }
            if !each.subresources.isEmpty {
                entry["subresources"] = .array(
                    Discovery.subresources(of: each).map { subresource in
                        [
                            "subresource": .string(subresource.name),
                            "responseKind": Discovery.kind(subresource.group, subresource.version, subresource.kind),
                            "verbs": Discovery.texts(subresource.verbs),
                        ]
                    })
            }
            return entry
        }
        return ["version": .string(version), "freshness": "Current", "resources": .array(resources)]
    }

    private static func kind(_ group: String, _ version: String, _ kind: String) -> JSON {
        ["group": .string(group), "version": .string(version), "kind": .string(kind)]
    }

    private static func texts(_ list: [String]) -> JSON { .array(list.map { .string($0) }) }

    /// Eight bytes of SHA-256 of the stored group, version and kind, in base 64 (upstream: apiserver,
    /// pkg/endpoints/discovery/storageversionhash.go); equal for the versions of one stored kind.
    static func storageVersionHash(_ resource: Resource) -> String {
        let stored = StoredVersions.stored(resource)
        let text = "\(stored.group)/\(stored.version)/\(stored.kind)"
        return Base64.encode(Array(SHA256.hash(data: Array(text.utf8)).prefix(8)))
    }

    /// A stable mark of a document: FNV-1a of 64 bits, in base 64.
    static func hash(_ text: String) -> String { Base64.encode(fingerprint(text.utf8)) }

    /// The ETag of a document, quoted.
    static func entityTag(_ bytes: [UInt8]) -> String {
        let digits = fingerprint(bytes).map { byte in
            let text = String(byte, radix: 16, uppercase: true)
            return text.count == 1 ? "0" + text : text
        }
        return "\"\(digits.joined())\""
    }

    private static func fingerprint(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return (0..<8).map { UInt8(truncatingIfNeeded: hash >> UInt64(8 * (7 - $0))) }
    }
}
