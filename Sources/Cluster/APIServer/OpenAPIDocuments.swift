// The OpenAPI documents, version 2 and 3, made from the schema table when they are first asked for.

import CustomResources
import Formats
import Objects
import Synchronization

/// Documents as bytes with their entity tags; each is made once and kept.
final class OpenAPIDocuments: Sendable {
    struct Document: Sendable {
        var bytes: [UInt8]
        /// Quoted.
        var entityTag: String
        /// What `?hash=` carries: the entity tag without its quotes.
        var hash: String { String(entityTag.dropFirst().dropLast()) }
    }

    private let served: ServedResources
    private let documents = Mutex<[String: Document]>([:])

    init(served: ServedResources) { self.served = served }

    /// `/openapi/v3`: where the document of each group and version is.
    func index() -> Document {
        var paths: JSON = [:]
        for group in served.groups {
            for version in group.versions {
                let path = group.name.isEmpty ? "api/\(version)" : "apis/\(group.name)/\(version)"
                guard let document = version3(path) else { continue }
                paths[path] = ["serverRelativeURL": .string("/openapi/v3/\(path)?hash=\(document.hash)")]
            }
        }
        return OpenAPIDocuments.document(["paths": paths])
    }

    /// The document of `api/v1` or `apis/<group>/<version>`; nil when nothing is served there.
    func version3(_ path: String) -> Document? {
        let parts = path.split(separator: "/").map(String.init)
        let place: (group: String, version: String)
        switch (parts.first, parts.count) {
        case ("api", 2): place = ("", parts[1])
        case ("apis", 3): place = (parts[1], parts[2])
        default: return nil
        }
        let resources = served.all.filter { $0.resource.group == place.group && $0.resource.version == place.version }
        if resources.isEmpty { return nil }
        return kept(path) { OpenAPIWriter(version: .three).tree(of: resources) }
    }

    /// `/openapi/v2`: everything in one document.
    func version2() -> Document {
        kept("v2") { OpenAPIWriter(version: .two).tree(of: served.all) }
    }

    private func kept(_ name: String, make: () -> JSON) -> Document {
        if let document = documents.withLock({ $0[name] }) { return document }
        let document = OpenAPIDocuments.document(make())
        documents.withLock { $0[name] = document }
        return document
    }

    private static func document(_ tree: JSON) -> Document {
        let bytes = tree.bytes
        return Document(bytes: bytes, entityTag: Discovery.entityTag(bytes))
    }
}

/// Writes one document; pure.
struct OpenAPIWriter {
    enum Version { case two, three }

    let version: Version

    func tree(of resources: [ServedResource]) -> JSON {
        var paths: JSON = [:]
        var kinds: [String: [JSON]] = [:]
        for served in resources {
            let resource = served.resource
            let kind = OpenAPIWriter.kind(resource)
            if let type = Schema.type(of: resource) { kinds[type.name, default: []].append(kind) }
            let place = resource.isNamespaced ? "{namespace}" : ""
            paths[resource.path(namespace: place)] = collection(resource, kind)
            paths[resource.path(namespace: place, name: "{name}")] = object(resource, kind)
        }
        let custom = resources.filter { $0.custom != nil }
        let metadata = "meta.v1.ObjectMeta"
        if !custom.isEmpty, kinds[metadata] == nil { kinds[metadata] = [] }
        var schemas = definitions(startingWith: kinds)
        for served in custom { describe(served, in: &schemas) }
        let info: JSON = ["title": "Kubernetes", "version": .string(ServerVersion.git)]
        switch version {
        case .two: return ["swagger": "2.0", "info": info, "paths": paths, "definitions": schemas]
        case .three: return ["openapi": "3.0.0", "info": info, "paths": paths, "components": ["schemas": schemas]]
        }
    }

    /// Adds the schema of a custom resource.
    private func describe(_ served: ServedResource, in schemas: inout JSON) {
        guard let custom = served.custom else { return }
        var schema = SchemaDocument.schema(
            of: custom.version, metadata: reference("meta.v1.ObjectMeta"), isVersion2: version == .two)
        schema["x-kubernetes-group-version-kind"] = [OpenAPIWriter.kind(served.resource)]
        schemas[SchemaDocument.name(of: served.resource)] = schema
    }

    /// A custom resource's schema; a definition with a group has one of its own.
    private func reference(to resource: Resource) -> JSON {
        if resource.view == nil { return ["type": "object"] }
        let name = SchemaDocument.name(of: resource)
        return ["$ref": .string(version == .two ? "#/definitions/\(name)" : "#/components/schemas/\(name)")]
    }

    private static func kind(_ resource: Resource) -> JSON {
        ["group": .string(resource.group), "kind": .string(resource.kind), "version": .string(resource.version)]
    }

    // MARK: Operations

    private static let writeParameters = ["dryRun", "fieldManager", "fieldValidation"]
    private static let patchTypes = [
        "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    ]

    /// From these kubectl learns that custom resources have no strategic merge.
    private func patchTypes(of resource: Resource) -> [String] {
        resource.view == nil ? Self.patchTypes : Self.patchTypes.filter { !$0.contains("strategic") }
    }

    private func collection(_ resource: Resource, _ kind: JSON) -> JSON {
        var item: JSON = [:]
        let readParameters = ["continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "watch"]
        item["get"] = operation("list", resource, kind, query: readParameters)
        if resource.verbs.contains("create") {
            item["post"] = operation("create", resource, kind, query: Self.writeParameters, body: ["application/json"])
        }
        item["parameters"] = pathParameters(resource, named: false)
        return item
    }

    private func object(_ resource: Resource, _ kind: JSON) -> JSON {
        var item: JSON = [:]
        item["get"] = operation("read", resource, kind, query: [])
        item["put"] = operation("replace", resource, kind, query: Self.writeParameters, body: ["application/json"])
        item["patch"] = operation(
            "patch", resource, kind, query: Self.writeParameters + ["force"], body: patchTypes(of: resource))
        let deleteParameters = ["dryRun", "gracePeriodSeconds", "propagationPolicy"]
        item["delete"] = operation("delete", resource, kind, query: deleteParameters)
        item["parameters"] = pathParameters(resource, named: true)
        return item
    }

    private func operation(
        _ verb: String, _ resource: Resource, _ kind: JSON, query: [String], body: [String] = []
    ) -> JSON {
        var parameters = query.map { parameter($0, in: "query") }
        let group = resource.group.isEmpty ? "core" : resource.group
        let scope = resource.isNamespaced ? "Namespaced" : ""
        let action = ["read": "get", "replace": "put"][verb] ?? (verb == "create" ? "post" : verb)
        var operation: JSON = [
            "operationId": .string("\(verb)_\(group)_\(resource.version)_\(scope)\(resource.kind)"),
            "x-kubernetes-action": .string(action), "x-kubernetes-group-version-kind": kind,
        ]
        let schema = Schema.type(of: resource).map { reference($0.name) } ?? reference(to: resource)
        let patch: JSON = ["type": "object"]
        let ok: JSON
        switch version {
        case .two:
            if let first = body.first {
                operation["consumes"] = .array(body.map { .string($0) })
                let bodySchema = first == "application/json" ? schema : patch
                parameters.append(["name": "body", "in": "body", "required": true, "schema": bodySchema])
            }
            ok = ["description": "OK", "schema": schema]
        case .three:
            if !body.isEmpty {
                var content: JSON = [:]
                for type in body { content[type] = ["schema": type == "application/json" ? schema : patch] }
                operation["requestBody"] = ["content": content, "required": true]
            }
            ok = ["description": "OK", "content": ["application/json": ["schema": schema]]]
        }
        operation["parameters"] = .array(parameters)
        operation["responses"] = ["200": ok]
        return operation
    }

    private func pathParameters(_ resource: Resource, named: Bool) -> JSON {
        var list: [JSON] = named ? [parameter("name", in: "path")] : []
        if resource.isNamespaced { list.append(parameter("namespace", in: "path")) }
        return .array(list)
    }

    private func parameter(_ name: String, in place: String) -> JSON {
        var parameter: JSON = ["name": .string(name), "in": .string(place)]
        if place == "path" { parameter["required"] = true }
        switch version {
        case .two:
            parameter["type"] = "string"
            parameter["uniqueItems"] = true
        case .three: parameter["schema"] = ["type": "string", "uniqueItems": true]
        }
        return parameter
    }

    // MARK: Types

    /// The types of these names and all that they lead to.
    private func definitions(startingWith kinds: [String: [JSON]]) -> JSON {
        var definitions: [String: JSON] = [:]
        var waiting = Array(kinds.keys)
        while let name = waiting.popLast() {
            guard definitions[name] == nil, let type = Schema.type(named: name) else { continue }
            var tree = definition(type)
            if let kinds = kinds[name], !kinds.isEmpty { tree["x-kubernetes-group-version-kind"] = .array(kinds) }
            definitions[name] = tree
            waiting += type.fields.values.compactMap { Schema.objectType(of: $0.type)?.name }
        }
        var tree: JSON = [:]
        for name in definitions.keys.sorted() { tree[OpenAPIWriter.fullName(name)] = definitions[name] }
        return tree
    }

    private func definition(_ type: SchemaType) -> JSON {
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

    private func property(_ field: SchemaField) -> JSON {
        var tree = value(field.type)
        var strategies: [String] = []
        if field.mergesElements { strategies.append("merge") }
        if field.retainsKeys { strategies.append("retainKeys") }
        if field.isReplaced { strategies.append("replace") }
        if !strategies.isEmpty { tree["x-kubernetes-patch-strategy"] = .string(strategies.joined(separator: ",")) }
        if let key = field.mergeKey { tree["x-kubernetes-patch-merge-key"] = .string(key) }
        guard case .array = field.type else { return tree }
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

    private func value(_ type: FieldType) -> JSON {
        switch type {
        case .string: ["type": "string"]
        case .base64: ["type": "string", "format": "byte"]
        case .boolean: ["type": "boolean"]
        case .int32: ["type": "integer", "format": "int32"]
        case .int64: ["type": "integer", "format": "int64"]
        case .number: ["type": "number", "format": "double"]
        case .quantity: version == .two ? ["type": "string"] : ["oneOf": [["type": "string"], ["type": "number"]]]
        case .time, .microTime: ["type": "string", "format": "date-time"]
        case .integerOrString:
            version == .two
                ? ["type": "string", "format": "int-or-string"]
                : ["format": "int-or-string", "oneOf": [["type": "integer"], ["type": "string"]]]
        case .anyObject: ["type": "object"]
        case .anything: [:]
        case .array(let element): ["type": "array", "items": value(element)]
        case .map(let element): ["type": "object", "additionalProperties": value(element)]
        case .type(let name): reference(name)
        }
    }

    /// Version 3 wraps references, so that they may have neighbours.
    private func reference(_ name: String) -> JSON {
        switch version {
        case .two: ["$ref": .string("#/definitions/\(OpenAPIWriter.fullName(name))")]
        case .three: ["allOf": [["$ref": .string("#/components/schemas/\(OpenAPIWriter.fullName(name))")]]]
        }
    }

    private static func fullName(_ name: String) -> String {
        name.hasPrefix("meta.") ? "io.k8s.apimachinery.pkg.apis.\(name)" : "io.k8s.api.\(name)"
    }
}
