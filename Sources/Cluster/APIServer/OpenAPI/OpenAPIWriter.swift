// Writes one OpenAPI document: the operations of resources, as upstream names and describes them.

import CustomResources
import Formats
import Objects

/// Pure; the types are `OpenAPITypes`' part.
struct OpenAPIWriter {
    let version: OpenAPIVersion

    private static let bodyTypes = ["application/json", "application/yaml", KubernetesProtobuf.mediaType]
    private static let streamTypes =
        bodyTypes + ["application/json;stream=watch", KubernetesProtobuf.mediaType + ";stream=watch"]
    private static let patchTypes = [
        "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ]

    func tree(of resources: [ServedResource]) -> JSON {
        var paths: JSON = [:]
        var types = OpenAPITypes(version: version)
        for served in resources {
            let resource = served.resource
            let custom = customSchema(of: served)
            types.add(resource, custom: custom)
            write(served, customType: custom?.name, to: &paths)
        }
        let info: JSON = ["title": "Kubernetes", "version": .string(ServerVersion.git)]
        switch version {
        case .two:
            return ["swagger": "2.0", "info": info, "paths": paths, "definitions": types.tree]
        case .three:
            return ["openapi": "3.0.0", "info": info, "paths": paths, "components": ["schemas": types.tree]]
        }
    }

    /// What a definition says of a custom resource, and what is not in the table of types.
    private func customSchema(of served: ServedResource) -> OpenAPISchema? {
        if let schema = UsageAPI.schema(of: served.resource, metadata: reference("meta.v1.ObjectMeta")) {
            return schema
        }
        guard let custom = served.custom else { return nil }
        let tree = SchemaDocument.schema(
            of: custom.version, metadata: reference("meta.v1.ObjectMeta"), isVersion2: version == .two)
        return OpenAPISchema(name: SchemaDocument.name(of: served.resource), tree: tree)
    }

    private func write(_ served: ServedResource, customType: String?, to paths: inout JSON) {
        let resource = served.resource
        var target = Target(resource: resource, group: resource.group, version: resource.version, kind: resource.kind)
        target.customType = customType
        let place = resource.isNamespaced ? "{namespace}" : ""
        let whole = resource.path(namespace: place)
        paths[whole] = collection(target)
        if resource.isNamespaced, resource.verbs.contains("list") {
            var item: JSON = ["get": operation("list", target, isForAllNamespaces: true)]
            item["parameters"] = pathParameters(resource, isNamed: false, isNamespaced: false)
            paths[resource.path()] = item
        }
        let hasObjects = !Set(resource.verbs).isDisjoint(with: ["get", "update", "patch", "delete"])
        if hasObjects { paths[resource.path(namespace: place, name: "{name}")] = object(target, resource.verbs) }
        for name in served.subresources.map(\.rawValue) {
            let custom = served.custom?.subresource(name)
            guard let found = custom ?? ResourceTable.subresource(name, of: resource) else { continue }
            var target = target
            target.group = found.group
            target.version = found.version
            target.kind = found.kind
            target.subresource = name
            paths[resource.path(namespace: place, name: "{name}", subresource: name)] = object(target, found.verbs)
        }
    }

    /// What operations are about: a resource or a part of it, and the kind that is read and written there.
    private struct Target {
        var resource: Resource
        var group: String
        var version: String
        var kind: String
        var subresource = ""
        /// The full name of a type that is not in the table.
        var customType: String?

        var gvk: JSON { ["group": .string(group), "kind": .string(kind), "version": .string(version)] }
        var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
        /// Options kinds are only parameters: the connection itself carries no object.
        var isConnection: Bool { kind.hasSuffix("Options") }
    }

    private func collection(_ target: Target) -> JSON {
        var item: JSON = [:]
        let verbs = target.resource.verbs
        if verbs.contains("list") { item["get"] = operation("list", target) }
        if verbs.contains("create") { item["post"] = operation("create", target) }
        if verbs.contains("deletecollection") { item["delete"] = operation("deletecollection", target) }
        item["parameters"] = pathParameters(
            target.resource, isNamed: false, isNamespaced: target.resource.isNamespaced)
        return item
    }

    private func object(_ target: Target, _ verbs: [String]) -> JSON {
        var item: JSON = [:]
        let methods = [
            ("get", "get", "read"), ("update", "put", "replace"), ("patch", "patch", "patch"),
            ("delete", "delete", "delete"),
        ]
        for (verb, method, name) in methods where verbs.contains(verb) {
            item[method] = operation(target.isConnection ? "connect" : name, target, method: method)
        }
        if verbs.contains("create"), !target.subresource.isEmpty {
            item["post"] = operation(target.isConnection ? "connect" : "create", target, method: "post")
        }
        item["parameters"] = pathParameters(target.resource, isNamed: true, isNamespaced: target.resource.isNamespaced)
        return item
    }

    // MARK: One operation

    private func operation(
        _ verb: String, _ target: Target, isForAllNamespaces: Bool = false, method: String = ""
    ) -> JSON {
        let actions = ["read": "get", "replace": "put", "create": "post"]
        var operation: JSON = [
            "operationId": .string(identifier(verb, target, isForAllNamespaces, method)),
            "tags": [.string(Self.tag(target.resource))],
            "x-kubernetes-action": .string(actions[verb] ?? verb), "x-kubernetes-group-version-kind": target.gvk,
        ]
        var parameters = Self.parameters(of: verb).map { parameter($0, in: "query") }
        let schema = schema(of: target, verb)
        let produced = verb == "list" ? Self.streamTypes : verb == "connect" ? ["*/*"] : Self.bodyTypes
        let body: (types: [String], schema: JSON)? =
            switch verb {
            case "create", "replace": (["application/json", "application/yaml", KubernetesProtobuf.mediaType], schema)
            case "patch": (patchTypes(of: target), reference("meta.v1.Patch"))
            case "delete", "deletecollection": (Self.bodyTypes, reference("meta.v1.DeleteOptions"))
            default: nil
            }
        switch version {
        case .two:
            operation["consumes"] = .array((body?.types ?? ["*/*"]).map { .string($0) })
            operation["produces"] = .array(produced.map { .string($0) })
            if let body {
                parameters.append([
                    "name": "body", "in": "body", "required": .bool(!verb.hasPrefix("delete")), "schema": body.schema,
                ])
            }
        case .three:
            if let body {
                operation["requestBody"] = [
                    "content": content(body.types, body.schema), "required": .bool(!verb.hasPrefix("delete")),
                ]
            }
        }
        operation["parameters"] = .array(parameters)
        operation["responses"] = responses(verb, produced, schema)
        return operation
    }

    /// From these kubectl learns that custom resources have no strategic merge.
    private func patchTypes(of target: Target) -> [String] {
        target.customType == nil ? Self.patchTypes : Self.patchTypes.filter { !$0.contains("strategic") }
    }

    private func responses(_ verb: String, _ types: [String], _ schema: JSON) -> JSON {
        func answer(_ description: String) -> JSON {
            switch version {
            case .two: return ["description": .string(description), "schema": schema]
            case .three: return ["description": .string(description), "content": content(types, schema)]
            }
        }
        var responses: JSON = ["200": answer("OK")]
        if ["create", "replace", "patch"].contains(verb) { responses["201"] = answer("Created") }
        if ["create", "delete"].contains(verb) { responses["202"] = answer("Accepted") }
        responses["401"] = ["description": "Unauthorized"]
        return responses
    }

    private func content(_ types: [String], _ schema: JSON) -> JSON {
        .object(JSONObject(types.map { type -> (String, JSON) in (type, ["schema": schema]) }))
    }

    /// The schema of what an operation answers with, and of what it takes.
    private func schema(of target: Target, _ verb: String) -> JSON {
        if verb == "connect" || target.subresource == "log" { return ["type": "string"] }
        if verb.hasPrefix("delete") { return reference("meta.v1.Status") }
        let isList = verb == "list"
        if let type = Schema.type(apiVersion: target.apiVersion, kind: target.kind + (isList ? "List" : "")) {
            return reference(type.name)
        }
        guard let custom = target.customType else { return ["type": "object"] }
        return OpenAPITypes.reference(toFullName: custom + (isList ? "List" : ""), version)
    }

    private func reference(_ name: String) -> JSON {
        OpenAPITypes.reference(toFullName: OpenAPITypes.fullName(name), version)
    }

    // MARK: Names

    /// `createAppsV1NamespacedDeployment`, `listCoreV1PodForAllNamespaces`, `patchCoreV1NamespacedPodStatus`, …
    private func identifier(_ verb: String, _ target: Target, _ isForAllNamespaces: Bool, _ method: String) -> String {
        let resource = target.resource
        let scope = resource.isNamespaced && !isForAllNamespaces ? "Namespaced" : ""
        var name = Self.groupName(resource.group) + Self.capitalized(resource.version)
        if verb == "deletecollection" {
            name = "delete\(name)Collection\(scope)\(resource.kind)"
        } else if verb == "connect" {
            name = "connect\(name)\(Self.capitalized(method))\(scope)\(resource.kind)"
        } else {
            name = verb + name + scope + resource.kind
        }
        return name + Self.capitalized(target.subresource) + (isForAllNamespaces ? "ForAllNamespaces" : "")
    }

    /// `Core`, `Apps`, `RbacAuthorization`: the group without its last labels, in one word.
    private static func groupName(_ group: String) -> String {
        if group.isEmpty { return "Core" }
        let short = group.hasSuffix(".k8s.io") ? group.dropLast(".k8s.io".count) : group[...]
        return short.split { $0 == "." || $0 == "-" }.map { capitalized(String($0)) }.joined()
    }

    private static func tag(_ resource: Resource) -> String {
        let name = groupName(resource.group)
        return name.prefix(1).lowercased() + name.dropFirst() + "_" + resource.version
    }

    private static func capitalized(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }

    // MARK: Parameters

    private static let listParameters = [
        "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion",
        "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
    ]
    private static let integers: Set<String> = ["gracePeriodSeconds", "limit", "timeoutSeconds"]
    private static let booleans: Set<String> = [
        "allowWatchBookmarks", "force", "orphanDependents", "sendInitialEvents", "watch",
    ]

    private static func parameters(of verb: String) -> [String] {
        let deleting = ["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"]
        return switch verb {
        case "list": listParameters
        case "create", "replace": ["dryRun", "fieldManager", "fieldValidation"]
        case "patch": ["dryRun", "fieldManager", "fieldValidation", "force"]
        case "delete": deleting
        case "deletecollection": deleting + listParameters.filter { $0 != "watch" && $0 != "allowWatchBookmarks" }
        default: []
        }
    }

    private func pathParameters(_ resource: Resource, isNamed: Bool, isNamespaced: Bool) -> JSON {
        var list: [JSON] = isNamed ? [parameter("name", in: "path")] : []
        if isNamespaced { list.append(parameter("namespace", in: "path")) }
        return .array(list + [parameter("pretty", in: "query")])
    }

    private func parameter(_ name: String, in place: String) -> JSON {
        let type = Self.integers.contains(name) ? "integer" : Self.booleans.contains(name) ? "boolean" : "string"
        var parameter: JSON = ["name": .string(name), "in": .string(place)]
        if place == "path" { parameter["required"] = true }
        switch version {
        case .two:
            parameter["type"] = .string(type)
            parameter["uniqueItems"] = true
        case .three: parameter["schema"] = ["type": .string(type), "uniqueItems": true]
        }
        return parameter
    }
}
