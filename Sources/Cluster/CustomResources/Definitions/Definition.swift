// A CustomResourceDefinition as the server serves it: names, versions, schemas, all read once.

import Formats
import Objects

/// The names under which a kind is known.
package struct DefinitionNames: Sendable, Hashable {
    package var plural = ""
    package var singular = ""
    package var shortNames: [String] = []
    package var kind = ""
    package var listKind = ""
    package var categories: [String] = []

    package init(_ tree: JSON?) {
        plural = tree?["plural"]?.string ?? ""
        singular = tree?["singular"]?.string ?? ""
        shortNames = tree?["shortNames"]?.strings ?? []
        kind = tree?["kind"]?.string ?? ""
        listKind = tree?["listKind"]?.string ?? ""
        categories = tree?["categories"]?.strings ?? []
    }

    package var tree: JSON {
        var tree: JSON = [
            "plural": .string(plural), "singular": .string(singular), "kind": .string(kind),
            "listKind": .string(listKind),
        ]
        if !shortNames.isEmpty { tree["shortNames"] = .array(shortNames.map { .string($0) }) }
        if !categories.isEmpty { tree["categories"] = .array(categories.map { .string($0) }) }
        return tree
    }
}

/// Where a custom resource keeps what `/scale` shows.
package struct ScalePaths: Sendable, Hashable {
    package var specReplicas: [String]
    package var statusReplicas: [String]
    /// Empty when the kind has no selector.
    package var labelSelector: [String]
}

/// One version of a definition.
package struct DefinitionVersion: Sendable {
    package let name: String
    package let isServed: Bool
    package let isStorage: Bool
    /// What clients are warned with; nil for versions that are not deprecated.
    package let deprecation: String?
    package let schema: StructuralSchema
    /// `openAPIV3Schema` as it was written, for OpenAPI documents.
    package let schemaTree: JSON
    package let hasStatus: Bool
    package let scale: ScalePaths?
    package let columns: [PrinterColumn]
    /// The paths that field selectors may name, without the leading dot.
    package let selectableFields: [String]
}

/// A definition that has been accepted.
package struct Definition: Sendable {
    /// The most definitions that one server keeps.
    package static let countLimit = 2000
    /// The most versions of one definition.
    package static let versionLimit = 50

    package static let resource = Resource(
        group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions", isNamespaced: false)

    package let name: String
    package let uid: String
    package let group: String
    package let isNamespaced: Bool
    /// The names that were accepted.
    package let names: DefinitionNames
    package let isEstablished: Bool
    /// Whether its instances are being deleted.
    package let isTerminating: Bool
    package let versions: [DefinitionVersion]
    /// Changes whenever clients must learn anew what is served.
    package let fingerprint: JSON

    package init(_ object: Object) {
        let spec = object.spec
        name = object.name
        uid = object.uid
        group = spec["group"]?.string ?? ""
        isNamespaced = spec["scope"] != "Cluster"
        names = DefinitionNames(object["status", "acceptedNames"])
        isEstablished = object.isTrue("Established")
        isTerminating = object.isTrue("Terminating")
        let group = group
        let kind = spec["names"]?["kind"]?.string ?? ""
        versions = (spec["versions"]?.array ?? []).map {
            Self.version($0, group: group, kind: kind, all: spec["versions"])
        }
        fingerprint = [
            "spec": spec, "names": object["status", "acceptedNames"] ?? .null, "isServed": .bool(isEstablished),
            "isTerminating": .bool(isTerminating), "uid": .string(uid),
        ]
    }

    package var storageVersion: String { versions.first(where: \.isStorage)?.name ?? "" }

    /// The resources that clients see, one for each served version, the preferred one first.
    package var resources: [(resource: Resource, version: DefinitionVersion)] {
        guard isEstablished else { return [] }
        let served = versions.filter(\.isServed)
        return served.sorted { VersionOrder.isBefore($0.name, $1.name) }.map { ($0.resource(of: self), $0) }
    }

    private static func version(_ tree: JSON, group: String, kind: String, all: JSON?) -> DefinitionVersion {
        let schemaTree = tree["schema"]?["openAPIV3Schema"] ?? [:]
        let subresources = tree["subresources"]
        let listed = (tree["additionalPrinterColumns"]?.array ?? [])
        var columns: [PrinterColumn] = []
        for column in listed {
            // As upstream: nothing is shown beyond the first column that is not understood.
            guard let column = PrinterColumn(column) else { break }
            columns.append(column)
        }
        let name = tree["name"]?.string ?? ""
        return DefinitionVersion(
            name: name, isServed: tree.flag("served"), isStorage: tree.flag("storage"),
            deprecation: tree.flag("deprecated")
                ? tree["deprecationWarning"]?.string ?? deprecation(of: name, group: group, kind: kind, all: all) : nil,
            schema: StructuralSchema(schemaTree), schemaTree: schemaTree,
            hasStatus: subresources?.given("status") != nil, scale: subresources?.given("scale").map(ScalePaths.init),
            columns: listed.isEmpty ? PrinterColumn.age : columns,
            selectableFields: (tree["selectableFields"]?.array ?? []).compactMap { field in
                field["jsonPath"]?.string.map { $0.hasPrefix(".") ? String($0.dropFirst()) : $0 }
            })
    }

    /// The words for a deprecated version that brings none of its own.
    private static func deprecation(of name: String, group: String, kind: String, all: JSON?) -> String {
        let newer = (all?.array ?? []).filter { $0.flag("served") && !$0.flag("deprecated") }
            .compactMap { $0["name"]?.string }.filter { VersionOrder.isBefore($0, name) }
            .sorted { VersionOrder.isBefore($0, $1) }
        let words = "\(group)/\(name) \(kind) is deprecated"
        return newer.first.map { "\(words); use \(group)/\($0) \(kind)" } ?? words
    }
}

extension DefinitionVersion {
    static let verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]

    package func resource(of definition: Definition) -> Resource {
        let names = definition.names
        return Resource(
            group: definition.group, version: name, kind: names.kind, plural: names.plural, singular: names.singular,
            isNamespaced: definition.isNamespaced, shortNames: names.shortNames, categories: names.categories,
            verbs: Self.verbs)
    }
}

extension ScalePaths {
    init(_ tree: JSON) {
        func path(_ name: String) -> [String] { tree[name]?.string.flatMap { ObjectPath($0)?.members } ?? [] }
        self.init(
            specReplicas: path("specReplicasPath"), statusReplicas: path("statusReplicasPath"),
            labelSelector: path("labelSelectorPath"))
    }
}

/// Which version comes first: `v2`, `v1`, `v1beta2`, `v1beta1`, `v1alpha1`, then all others by their names.
package enum VersionOrder {
    /// Upstream: apimachinery, pkg/version/helpers.go.
    package static func isBefore(_ left: String, _ right: String) -> Bool {
        switch (rank(left), rank(right)) {
        case (let left?, let right?): return left > right
        case (.some, nil): return true
        case (nil, .some): return false
        case (nil, nil): return left < right
        }
    }

    private static func rank(_ name: String) -> (Int, Int, Int)? {
        guard name.hasPrefix("v") else { return nil }
        let digits = name.dropFirst().prefix { $0.isASCII && $0.isNumber }
        guard let major = Int(digits) else { return nil }
        let rest = name.dropFirst(1 + digits.count)
        if rest.isEmpty { return (3, major, 0) }
        for (stage, word) in [(2, "beta"), (1, "alpha")] where rest.hasPrefix(word) {
            return Int(rest.dropFirst(word.count)).map { (stage, major, $0) }
        }
        return nil
    }
}
