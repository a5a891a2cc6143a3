// Every resource of the Kubernetes API with its names, verbs and subresources, as discovery lists them.

/// A part of a resource with verbs of its own, like `pods/status` or `deployments/scale`.
package struct Subresource: Sendable, Hashable {
    /// `status`, `scale`, `log`, …
    package var name: String
    /// The group, version and kind of what is read and written there; `pods/eviction` takes a `policy/v1` Eviction.
    package var group: String
    package var version: String
    package var kind: String
    package var verbs: [String]

    package init(name: String, group: String, version: String, kind: String, verbs: [String]) {
        self.name = name
        self.group = group
        self.version = version
        self.kind = kind
        self.verbs = verbs
    }

    package var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
}

/// The resources that Kubernetes itself serves, read once at first use from generated text.
package enum ResourceTable {
    /// In the order of discovery: by group and version, then by plural.
    package static var all: [Resource] { table.resources }

    /// The resource with this plural in this group and version.
    package static func resource(group: String, version: String, plural: String) -> Resource? {
        let probe = Resource(group: group, version: version, kind: "", plural: plural)
        return table.byName[probe.path()]
    }

    /// The resource whose objects have this `apiVersion` and `kind`.
    package static func resource(apiVersion: String, kind: String) -> Resource? {
        table.byKind["\(apiVersion)/\(kind)"]
    }

    /// The subresources of a resource, in the order of their names.
    package static func subresources(of resource: Resource) -> [Subresource] {
        table.subresources[resource.path()] ?? []
    }

    /// The subresource of this name; nil when the resource has none such.
    package static func subresource(_ name: String, of resource: Resource) -> Subresource? {
        subresources(of: resource).first { $0.name == name }
    }

    private struct Table: Sendable {
        var resources: [Resource] = []
        var byName: [String: Resource] = [:]
        var byKind: [String: Resource] = [:]
        /// By the resource's path.
        var subresources: [String: [Subresource]] = [:]
    }

    private static let table: Table = {
        var table = Table()
        var apiVersion = ""
        for line in SchemaText.resources.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if line.hasPrefix("@") {
                apiVersion = String(line.dropFirst())
            } else if words.count == 6 {
                add(words, of: apiVersion, to: &table)
            } else {
                assertionFailure("a resource line has \(words.count) words: \(line)")
            }
        }
        return table
    }()

    /// `name kind scope verbs shortNames categories`
    private static func add(_ words: [String], of apiVersion: String, to table: inout Table) {
        let (group, version) = split(apiVersion)
        let names = words[0].split(separator: "/").map(String.init)
        let kind = words[1].split(separator: "/").map(String.init)
        let verbs = words[3].compactMap { Self.verbs[$0] }
        var resource = Resource(
            group: group, version: version, kind: kind.last ?? "", plural: names[0], isNamespaced: words[2] == "n",
            verbs: verbs)
        if names.count == 1 {
            resource.shortNames = list(words[4])
            resource.categories = list(words[5])
            table.resources.append(resource)
            table.byName[resource.path()] = resource
            if verbs.contains("get") || table.byKind["\(resource.apiVersion)/\(resource.kind)"] == nil {
                table.byKind["\(resource.apiVersion)/\(resource.kind)"] = resource
            }
        } else {
            table.subresources[resource.path(), default: []].append(
                Subresource(
                    name: names[1], group: kind.count == 3 ? kind[0] : group,
                    version: kind.count == 3 ? kind[1] : version,
                    kind: resource.kind, verbs: verbs))
        }
    }

    private static func split(_ apiVersion: String) -> (group: String, version: String) {
        let parts = apiVersion.split(separator: "/").map(String.init)
        return parts.count == 2 ? (parts[0], parts[1]) : ("", apiVersion)
    }

    private static func list(_ word: String) -> [String] {
        word == "-" ? [] : word.split(separator: ",").map(String.init)
    }

    private static let verbs: [Character: String] = [
        "c": "create", "d": "delete", "x": "deletecollection", "g": "get", "l": "list", "p": "patch", "u": "update",
        "w": "watch",
    ]
}
