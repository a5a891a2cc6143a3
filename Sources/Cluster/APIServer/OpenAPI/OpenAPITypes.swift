// The types of an OpenAPI document, from the schema's table, with what patches need to know of them.

import Formats
import Objects

enum OpenAPIVersion: Sendable { case two, three }

/// The schema of a kind that the table of types does not have.
struct OpenAPISchema: Sendable {
    /// Like `com.example.v1.Widget`.
    var name: String
    var tree: JSON
}

/// Collects the types that resources lead to; pure.
struct OpenAPITypes {
    let version: OpenAPIVersion
    /// By full name.
    private var definitions: [String: JSON] = [:]

    private static let options = "meta.v1.DeleteOptions"

    init(version: OpenAPIVersion) {
        self.version = version
        definitions[Self.fullName("meta.v1.Patch")] = ["type": "object"]
        for name in [Self.options, "meta.v1.Status"] { add(typeNamed: name) }
    }

    /// The document's types, in the order of their names.
    var tree: JSON {
        var tree: JSON = [:]
        for name in definitions.keys.sorted() { tree[name] = definitions[name] }
        return tree
    }

    /// Adds a resource's kind, its list, the kinds of its subresources and all that they lead to.
    mutating func add(_ resource: Resource, custom: OpenAPISchema?) {
        var kinds = [(resource.apiVersion, resource.kind), (resource.apiVersion, resource.kind + "List")]
        kinds += ResourceTable.subresources(of: resource).map { ($0.apiVersion, $0.kind) }
        for (apiVersion, kind) in kinds {
            guard let type = Schema.type(apiVersion: apiVersion, kind: kind) else { continue }
            add(typeNamed: type.name)
            mark(Self.fullName(type.name), apiVersion, kind)
        }
        mark(Self.fullName(Self.options), resource.apiVersion, "DeleteOptions")
        guard let custom else { return }
        add(typeNamed: "meta.v1.ObjectMeta")
        add(typeNamed: "meta.v1.ListMeta")
        definitions[custom.name] = custom.tree
        mark(custom.name, resource.apiVersion, resource.kind)
        definitions[custom.name + "List"] = [
            "type": "object", "required": ["items"],
            "properties": [
                "apiVersion": ["type": "string"], "kind": ["type": "string"],
                "items": ["type": "array", "items": Self.reference(toFullName: custom.name, version)],
                "metadata": Self.reference(toFullName: Self.fullName("meta.v1.ListMeta"), version),
            ],
        ]
        mark(custom.name + "List", resource.apiVersion, resource.kind + "List")
    }

    /// Says of a type which kinds it is the type of.
    private mutating func mark(_ name: String, _ apiVersion: String, _ kind: String) {
        let parts = apiVersion.split(separator: "/").map(String.init)
        let gvk: JSON = [
            "group": .string(parts.count == 2 ? parts[0] : ""), "kind": .string(kind),
            "version": .string(parts.last ?? ""),
        ]
        var kinds = definitions[name]?["x-kubernetes-group-version-kind"]?.array ?? []
        if kinds.contains(gvk) { return }
        kinds.append(gvk)
        definitions[name]?["x-kubernetes-group-version-kind"] = .array(kinds)
    }

    private mutating func add(typeNamed name: String) {
        var waiting = [name]
        while let name = waiting.popLast() {
            guard definitions[Self.fullName(name)] == nil, let type = Schema.type(named: name) else { continue }
            definitions[Self.fullName(name)] = definition(type)
            waiting += type.fields.values.compactMap { Schema.objectType(of: $0.type)?.name }
        }
    }

    private mutating func definition(_ type: SchemaType) -> JSON {
        var properties: JSON = [:]
        var required: [JSON] = []
        for name in type.order {
            guard let field = type.fields[name] else { continue }
            properties[name] = property(field)
            if field.isRequired { required.append(.string(name)) }
        }
        var tree: JSON = ["type": "object", "properties": properties]
        if !required.isEmpty { tree["required"] = .array(required) }
        return tree
    }

    private mutating func property(_ field: SchemaField) -> JSON {
        var tree = value(field.type)
        var strategies: [String] = []
        if field.mergesElements { strategies.append("merge") }
        if field.retainsKeys { strategies.append("retainKeys") }
        if field.isReplaced { strategies.append("replace") }
        if !strategies.isEmpty { tree["x-kubernetes-patch-strategy"] = .string(strategies.joined(separator: ",")) }
        if let key = field.mergeKey { tree["x-kubernetes-patch-merge-key"] = .string(key) }
        guard case .array = field.type else {
            if field.listType == .atomic { tree["x-kubernetes-map-type"] = "atomic" }
            return tree
        }
        switch field.listType {
        case .atomic: tree["x-kubernetes-list-type"] = "atomic"
        case .set: tree["x-kubernetes-list-type"] = "set"
        case .map(let keys):
            tree["x-kubernetes-list-type"] = "map"
            tree["x-kubernetes-list-map-keys"] = .array(keys.map { .string($0) })
        case nil: break
        }
        return tree
    }

    private mutating func value(_ type: FieldType) -> JSON {
        switch type {
        case .string: return ["type": "string"]
        case .base64: return ["type": "string", "format": "byte"]
        case .boolean: return ["type": "boolean"]
        case .int32: return ["type": "integer", "format": "int32"]
        case .int64: return ["type": "integer", "format": "int64"]
        case .number: return ["type": "number", "format": "double"]
        case .quantity:
            let tree: JSON =
                version == .two ? ["type": "string"] : ["oneOf": [["type": "string"], ["type": "number"]]]
            return scalar("io.k8s.apimachinery.pkg.api.resource.Quantity", tree)
        case .time: return scalar(Self.fullName("meta.v1.Time"), ["type": "string", "format": "date-time"])
        case .microTime: return scalar(Self.fullName("meta.v1.MicroTime"), ["type": "string", "format": "date-time"])
        case .integerOrString:
            let tree: JSON =
                version == .two
                ? ["type": "string", "format": "int-or-string"]
                : ["format": "int-or-string", "oneOf": [["type": "integer"], ["type": "string"]]]
            return scalar("io.k8s.apimachinery.pkg.util.intstr.IntOrString", tree)
        case .anyObject: return ["type": "object"]
        case .anything: return [:]
        case .array(let element): return ["type": "array", "items": value(element)]
        case .map(let element): return ["type": "object", "additionalProperties": value(element)]
        case .type(let name): return Self.reference(toFullName: Self.fullName(name), version)
        }
    }

    /// A scalar that has a name of its own in documents.
    private mutating func scalar(_ name: String, _ tree: JSON) -> JSON {
        definitions[name] = tree
        return Self.reference(toFullName: name, version)
    }

    /// Version 3 wraps references, so that they may have neighbours.
    static func reference(toFullName name: String, _ version: OpenAPIVersion) -> JSON {
        switch version {
        case .two: ["$ref": .string("#/definitions/\(name)")]
        case .three: ["allOf": [["$ref": .string("#/components/schemas/\(name)")]]]
        }
    }

    /// The table leaves out what is the same for all types of a part of Kubernetes.
    static func fullName(_ name: String) -> String {
        switch name.prefix(while: { $0 != "." }) {
        case "meta", "version": "io.k8s.apimachinery.pkg.apis.\(name)"
        case "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.\(name)"
        case "apiregistration": "io.k8s.kube-aggregator.pkg.apis.\(name)"
        default: "io.k8s.api.\(name)"
        }
    }
}
