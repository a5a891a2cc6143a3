// One served version of a custom resource, with what requests need to know of it.

import CustomResources
import Formats
import Objects
import Timing

/// A version of a definition as it is served now; a changed definition makes new kinds.
struct CustomKind: Sendable {
    let definition: Definition
    let version: DefinitionVersion
    /// Opens when the definition has changed, so that watches end and clients learn anew what there is.
    let isOver: Gate

    /// The served resources of a definition, one for each version.
    static func resources(of definition: Definition, until isOver: Gate) -> [ServedResource] {
        definition.resources.map { resource, version in
            var resource = resource
            resource.view = View(definition, version)
            let kind = CustomKind(definition: definition, version: version, isOver: isOver)
            var subresources: [ServedSubresource] = []
            if version.hasStatus { subresources.append(.status) }
            if version.scale != nil { subresources.append(.scale) }
            var served = ServedResource(
                resource, strategy: CustomResourceStrategy(kind: kind), subresources: subresources,
                printer: TablePrinter(kind))
            served.custom = kind
            return served
        }
    }

    /// What discovery says of a subresource.
    func subresource(_ name: String) -> Subresource? {
        let verbs = ["get", "patch", "update"]
        switch name {
        case "status" where version.hasStatus:
            return Subresource(
                name: name, group: definition.group, version: version.name, kind: definition.names.kind, verbs: verbs)
        case "scale" where version.scale != nil:
            return Subresource(name: name, group: "autoscaling", version: "v1", kind: "Scale", verbs: verbs)
        default: return nil
        }
    }

    /// Objects are kept in the storage version and shown in the one asked for; with conversion None only their
    /// `apiVersion` differs. Defaults that the schema has got since an object was stored are shown too.
    struct View: ResourceView {
        private let shownVersion: JSON
        private let storedVersion: JSON
        private let schema: StructuralSchema

        init(_ definition: Definition, _ version: DefinitionVersion) {
            shownVersion = .string("\(definition.group)/\(version.name)")
            storedVersion = .string("\(definition.group)/\(definition.storageVersion)")
            schema = version.schema
        }

        func shown(_ stored: Object) -> Object {
            var object = Object(Defaulting.applied(to: stored.tree, by: schema))
            object["apiVersion"] = shownVersion
            return object
        }

        func stored(_ object: Object) -> Object {
            var object = object
            object["apiVersion"] = storedVersion
            return object
        }
    }
}

// MARK: Decoding

extension CustomKind {
    /// What a request's tree is as an object of the kind.
    struct Decoded {
        var object: Object
        /// Unknown and duplicate fields, in the words of strict validation.
        var faults: [String]
        /// Why the tree is no object at all.
        var mismatch: String?
    }

    /// Reads and completes a tree: metadata has its type, unknown fields go, defaults are filled in. Nulls stay where
    /// the schema allows them.
    func decoded(_ tree: JSON, duplicates: Set<String>) -> Decoded {
        var tree = tree
        var mismatch: String?
        if let metadata = tree["metadata"] {
            tree["metadata"] = metadata.withoutNulls
            if let type = Schema.type(named: "meta.v1.ObjectMeta") {
                mismatch = Schema.findings(in: metadata, of: type).mismatches.first?.description
            }
        }
        var pruning = Pruning()
        tree = pruning.pruned(tree, by: version.schema, isRoot: true)
        let faults =
            duplicates.sorted().map { "duplicate field \"\($0)\"" } + pruning.unknown.map { "unknown field \"\($0)\"" }
        return Decoded(
            object: Object(Defaulting.applied(to: tree, by: version.schema)), faults: faults, mismatch: mismatch)
    }
}

// MARK: Tables

extension TablePrinter {
    /// The columns that a definition names.
    init(_ kind: CustomKind) {
        let columns = kind.version.columns
        var heads = [TableColumn(name: "Name", format: "name")]
        heads += columns.map { column in
            TableColumn(
                name: column.name, type: column.type, format: column.format, description: column.description,
                priority: column.priority)
        }
        self.init(columns: heads) { object, now in
            [.string(object.name)] + columns.map { column in column.cell(of: object.tree) { Cell.since($0, now) } }
        }
    }
}
