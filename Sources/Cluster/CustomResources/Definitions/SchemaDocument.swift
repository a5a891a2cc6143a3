// Custom resources in OpenAPI documents.

import Formats
import Objects

/// Turns a version's schema into what `kubectl explain`, `apply` and code generators read (upstream:
/// pkg/controller/openapi/builder and openapi/v2/conversion.go).
package enum SchemaDocument {
    /// `com.example.stable.v1.CronTab`
    package static func name(of resource: Resource) -> String {
        let group = resource.group.split(separator: ".").reversed().joined(separator: ".")
        return "\(group).\(resource.version).\(resource.kind)"
    }

    /// The schema for a document of version 3, or with less to say for one of version 2; `metadata` refers to the
    /// document's ObjectMeta.
    package static func schema(of version: DefinitionVersion, metadata: JSON, isVersion2: Bool) -> JSON {
        var tree = version.schemaTree
        if isVersion2 {
            // Upstream publishes a root that keeps unknown fields as an object of which nothing is known.
            tree = version.schema.preservesUnknownFields ? ["type": "object"] : reduced(tree)
        }
        var properties: JSON = [
            "apiVersion": ["type": "string", "description": "The version of the API that this object follows."],
            "kind": ["type": "string", "description": "The kind of this object."], "metadata": metadata,
        ]
        for property in tree["properties"]?.object ?? JSONObject() where properties[property.key] == nil {
            properties[property.key] = property.value
        }
        tree["type"] = "object"
        tree["properties"] = properties
        return tree
    }

    private static let version3Only = [
        "oneOf", "anyOf", "allOf", "not", "nullable", "default", "x-kubernetes-preserve-unknown-fields",
    ]

    /// The schema in the words of version 2, which knows less logic; it accepts at least what the original does.
    private static func reduced(_ schema: JSON) -> JSON {
        guard case .object(let members) = schema else { return schema }
        let isOpen =
            schema.flag("x-kubernetes-preserve-unknown-fields") || schema.flag("nullable")
            || schema.flag("x-kubernetes-int-or-string")
        var kept = JSONObject()
        for member in members where !version3Only.contains(member.key) {
            switch member.key {
            case "type" where schema.flag("nullable") || schema.flag("x-kubernetes-int-or-string"): continue
            case "items" where isOpen, "properties" where isOpen, "required" where isOpen: continue
            case "properties":
                let properties = member.value.object ?? JSONObject()
                kept[member.key] = .object(JSONObject(properties.map { ($0.key, reduced($0.value)) }))
            case "items", "additionalProperties": kept[member.key] = reduced(member.value)
            default: kept[member.key] = member.value
            }
        }
        if schema.flag("x-kubernetes-preserve-unknown-fields") { kept["x-kubernetes-preserve-unknown-fields"] = true }
        return .object(kept)
    }
}
