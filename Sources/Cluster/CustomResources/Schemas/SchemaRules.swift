// Which schemas a CustomResourceDefinition may have, in upstream's words.

import Formats
import Objects

/// The check of one version's schema (upstream: apiextensions/validation/validation.go).
enum SchemaRules {
    /// What is wrong with `openAPIV3Schema`, which is at `path`.
    static func faults(in schema: JSON, at path: String, hasStatus: Bool) -> [FieldFault] {
        guard schema.object != nil else { return [.invalid(path, schema, "must be an object")] }
        if let fault = SchemaLimits.fault(in: schema, at: path) { return [fault] }
        var faults: [FieldFault] = []
        if hasStatus { faults += rootFaults(in: schema, at: path) }
        if schema.flag("nullable") {
            faults.append(.forbidden("\(path).nullable", "nullable cannot be true at the root"))
        }
        let structural = StructuralRules.faults(in: schema, at: path)
        if !structural.isEmpty {
            faults += structural
        } else {
            faults += DefaultRules.faults(in: schema, at: path)
        }
        faults += KeywordRules(isRoot: true).faults(in: schema, at: path)
        return faults
    }

    private static let rootKeywords = [
        "description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
        "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required", "items",
        "properties", "externalDocs", "example", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations",
    ]

    /// With a status subresource the schema of `status` is taken on its own, so that nothing at the root may speak of
    /// it.
    private static func rootFaults(in schema: JSON, at path: String) -> [FieldFault] {
        for member in schema.object ?? JSONObject() where isSet(member.value) {
            if member.key == "type" {
                if member.value == "object" { continue }
                return [
                    .invalid(
                        "\(path).type", member.value,
                        "only \"object\" is allowed as the type at the root of the schema if the status subresource is "
                            + "enabled")
                ]
            }
            if rootKeywords.contains(member.key) { continue }
            let names = rootKeywords.map(fieldName).joined(separator: " ")
            return [
                .invalid(
                    path, schema,
                    "only [\(names)] fields are allowed at the root of the schema if the status subresource is enabled")
            ]
        }
        return []
    }

    private static func isSet(_ value: JSON) -> Bool {
        switch value {
        case .null, .bool(false), .string(""): false
        case .array(let elements): !elements.isEmpty
        case .object(let members): !members.isEmpty
        default: true
        }
    }

    /// The keyword as upstream's Go field is called: `x-kubernetes-validations` is `XValidations`.
    private static func fieldName(_ keyword: String) -> String {
        let words = keyword.split(separator: "-").filter { $0 != "kubernetes" }
        return words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }
}

/// What each keyword of a schema allows, all the way down.
struct KeywordRules {
    var isRoot = false
    private var isInsideMetadata = false
    /// Why there may be no default here; nil where there may be one.
    private var noDefaultReason: String?

    init(isRoot: Bool = false) { self.isRoot = isRoot }

    static let types = ["array", "boolean", "integer", "number", "object", "string"]
    private static let metadataFields = ["metadata", "kind", "apiVersion"]
    private static let unsupported = [
        "id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref",
    ]

    func faults(in schema: JSON, at path: String) -> [FieldFault] {
        var faults = ownFaults(in: schema, at: path)
        for child in SchemaTree.children(of: schema, at: path) {
            faults += rules(for: child, of: schema).faults(in: child.schema, at: child.path)
        }
        return faults + extensionFaults(in: schema, at: path) + listFaults(in: schema, at: path)
            + ExpressionRules.faults(in: schema, at: path)
    }

    private func rules(for child: SchemaTree.Child, of parent: JSON) -> KeywordRules {
        var rules = self
        rules.isRoot = false
        if child.keyword == "additionalProperties", isInsideMetadata {
            rules.noDefaultReason = "inside additionalProperties applying to object metadata"
        }
        let isResource = isRoot || parent.flag("x-kubernetes-embedded-resource")
        if child.keyword == "properties", isResource, Self.metadataFields.contains(child.name) {
            rules.isInsideMetadata = true
            if isRoot { rules.noDefaultReason = "in top-level \(child.name)" }
        }
        return rules
    }

    private func ownFaults(in schema: JSON, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        if let type = schema.text("type"), !Self.types.contains(type) {
            faults.append(.notSupported("\(path).type", .string(type), Self.types))
        }
        if schema.given("default") != nil, let noDefaultReason {
            faults.append(.forbidden("\(path).default", "must not be set \(noDefaultReason)"))
        }
        for keyword in Self.unsupported where schema.given(keyword) != nil {
            faults.append(.forbidden("\(path).\(keyword)", "\(keyword) is not supported"))
        }
        if schema["type"] == "null" {
            faults.append(.forbidden("\(path).type", "type cannot be set to null, use nullable as an alternative"))
        }
        if schema["items"]?.array?.isEmpty == false {
            faults.append(.forbidden("\(path).items", "items must be a schema object and not an array"))
        }
        if isInsideMetadata, schema.flag("x-kubernetes-embedded-resource") {
            faults.append(
                .forbidden("\(path).x-kubernetes-embedded-resource", "must not be used inside of resource meta"))
        }
        if schema.flag("uniqueItems") {
            faults.append(
                .forbidden(
                    "\(path).uniqueItems",
                    "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"))
        }
        if let additional = schema.given("additionalProperties"), additional != true,
            !SchemaTree.properties(of: schema).isEmpty
        {
            faults.append(
                .forbidden(
                    "\(path).additionalProperties", "additionalProperties and properties are mutual exclusive"))
        }
        return faults
    }

    private func extensionFaults(in schema: JSON, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        if let preserves = schema.given("x-kubernetes-preserve-unknown-fields"), preserves != true {
            faults.append(
                .invalid("\(path).x-kubernetes-preserve-unknown-fields", preserves, "must be true or undefined"))
        }
        faults += typeFault(schema, "x-kubernetes-map-type", needs: "object", at: path)
        if let type = schema.given("x-kubernetes-map-type"), type != "atomic", type != "granular" {
            faults.append(.notSupported("\(path).x-kubernetes-map-type", type, ["atomic", "granular"]))
        }
        let wrong = typeFault(schema, "x-kubernetes-list-type", needs: "array", at: path)
        faults += wrong
        if wrong.isEmpty, schema["x-kubernetes-list-type"] == "set", let items = schema.given("items") {
            if items["type"] == "array", let nested = items.given("x-kubernetes-list-type"), nested != "atomic" {
                faults.append(.invalid("\(path).items.x-kubernetes-list-type", nested, Self.mustBeAtomic))
            }
            if items["type"] == "object", items["x-kubernetes-map-type"] != "atomic" {
                faults.append(
                    .invalid("\(path).items.x-kubernetes-map-type", items["x-kubernetes-list-type"], Self.mustBeAtomic))
            }
        }
        if let type = schema.given("x-kubernetes-list-type"), !["atomic", "set", "map"].contains(type) {
            faults.append(.notSupported("\(path).x-kubernetes-list-type", type, ["atomic", "set", "map"]))
        }
        return faults
    }

    private static let mustBeAtomic = "must be atomic as item of a list with x-kubernetes-list-type=set"

    private func typeFault(_ schema: JSON, _ keyword: String, needs type: String, at path: String) -> [FieldFault] {
        guard schema.given(keyword) != nil, schema["type"]?.string != type else { return [] }
        let why = "must be \(type) if \(keyword) is specified"
        guard let given = schema.text("type") else { return [.required("\(path).type", why)] }
        return [.invalid("\(path).type", .string(given), why)]
    }

    private func listFaults(in schema: JSON, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        let type = schema["x-kubernetes-list-type"]?.string
        let keys = schema["x-kubernetes-list-map-keys"]?.strings ?? []
        if !keys.isEmpty, type != "map" {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty"
            faults.append(
                type.map { .invalid("\(path).x-kubernetes-list-type", .string($0), why) }
                    ?? .required("\(path).x-kubernetes-list-type", why))
        }
        if type == "map" { faults += mapFaults(in: schema, keys: keys, at: path) }
        guard let items = schema["items"], items.object != nil, let type, type == "set" || type == "map" else {
            return faults
        }
        if items.flag("nullable") {
            faults.append(
                .forbidden("\(path).items.nullable", "cannot be nullable when x-kubernetes-list-type is \(type)"))
        }
        for key in type == "map" ? keys : [] {
            guard let property = items["properties"]?[key] else { continue }
            let place = "\(path).items.properties[\(key)]"
            if !(items["required"]?.strings ?? []).contains(key), property.given("default") == nil {
                faults.append(
                    .required(
                        "\(place).default",
                        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required "
                            + "property"))
            }
            if property.flag("nullable") {
                faults.append(
                    .forbidden(
                        "\(place).nullable", "this property is in x-kubernetes-list-map-keys, so it cannot be nullable")
                )
            }
        }
        return faults
    }

    private func mapFaults(in schema: JSON, keys: [String], at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        let keysPath = "\(path).x-kubernetes-list-map-keys"
        if keys.isEmpty {
            faults.append(.required(keysPath, "must not be empty if x-kubernetes-list-type is map"))
        }
        guard let items = schema.given("items") else {
            return faults + [.required("\(path).items", "must have a schema if x-kubernetes-list-type is map")]
        }
        guard items.object != nil else {
            return faults + [
                .invalid("\(path).items", items, "must only have a single schema if x-kubernetes-list-type is map")
            ]
        }
        guard items["type"] == "object" else {
            return faults + [
                .invalid(
                    "\(path).items.type", items["type"] ?? "",
                    "must be object if parent array's x-kubernetes-list-type is map")
            ]
        }
        let list = JSON.array(keys.map { .string($0) })
        var seen: Set<String> = []
        for key in keys {
            if let property = items["properties"]?[key] {
                if property["type"] == "array" || property["type"] == "object" {
                    faults.append(
                        .invalid(
                            "\(path).items.properties[\(key)].type", items["type"],
                            "must be a scalar type if parent array's x-kubernetes-list-type is map"))
                }
            } else {
                faults.append(.invalid(keysPath, list, "entries must all be names of item properties"))
            }
            if !seen.insert(key).inserted {
                faults.append(.invalid(keysPath, list, "must not contain duplicate entries"))
            }
        }
        return faults
    }
}

/// The form of CEL rules; what they say is not evaluated.
enum ExpressionRules {
    private static let reasons = [
        "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired",
    ]

    static func faults(in schema: JSON, at path: String) -> [FieldFault] {
        (schema["x-kubernetes-validations"]?.array ?? []).enumerated().flatMap { position, rule in
            faults(of: rule, at: "\(path).x-kubernetes-validations[\(position)]")
        }
    }

    private static func faults(of rule: JSON, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        let text = trimmed(rule["rule"])
        let message = trimmed(rule["message"])
        if text.isEmpty {
            faults.append(.required("\(path).rule", "rule is not specified"))
        } else if rule.text("message") != nil, message.isEmpty {
            faults.append(.invalid("\(path).message", rule["message"], "message must be non-empty if specified"))
        } else if message.contains(where: \.isNewline) {
            faults.append(.invalid("\(path).message", rule["message"], "message must not contain line breaks"))
        } else if text.contains(where: \.isNewline), message.isEmpty {
            faults.append(.required("\(path).message", "message must be specified if rule contains line breaks"))
        }
        if rule.text("messageExpression") != nil, trimmed(rule["messageExpression"]).isEmpty {
            faults.append(
                .required("\(path).messageExpression", "messageExpression must be non-empty if specified"))
        }
        if let reason = rule.given("reason"), !reasons.contains(reason.string ?? "") {
            faults.append(.notSupported("\(path).reason", reason, reasons))
        }
        return faults
    }

    private static func trimmed(_ value: JSON?) -> Substring {
        let text = (value?.string ?? "").drop(while: \.isWhitespace)
        guard let last = text.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return text[...last]
    }
}
