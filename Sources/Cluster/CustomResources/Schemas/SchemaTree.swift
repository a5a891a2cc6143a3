// The ways down a schema as it was written, with the paths that messages name.

import Formats

/// A schema tree before it is known to be right.
enum SchemaTree {
    struct Child {
        var schema: JSON
        var path: String
        /// The keyword that leads here, like `properties` or `items`.
        var keyword: String
        /// The property's name, for `properties`.
        var name = ""
    }

    static let quantifiers = ["allOf", "oneOf", "anyOf"]

    /// Every schema directly within a schema, also in places where none may be.
    static func children(of schema: JSON, at path: String) -> [Child] {
        var children: [Child] = []
        if let additional = schema["additionalProperties"], additional.object != nil {
            children.append(
                Child(schema: additional, path: "\(path).additionalProperties", keyword: "additionalProperties"))
        }
        for property in properties(of: schema) {
            children.append(
                Child(
                    schema: property.value, path: "\(path).properties[\(property.key)]", keyword: "properties",
                    name: property.key))
        }
        if let not = schema.given("not") { children.append(Child(schema: not, path: "\(path).not", keyword: "not")) }
        for keyword in quantifiers {
            for (position, clause) in (schema[keyword]?.array ?? []).enumerated() {
                children.append(Child(schema: clause, path: "\(path).\(keyword)[\(position)]", keyword: keyword))
            }
        }
        if let items = schema["items"], items.object != nil {
            children.append(Child(schema: items, path: "\(path).items", keyword: "items"))
        }
        return children
    }

    static func properties(of schema: JSON) -> JSONObject { schema["properties"]?.object ?? JSONObject() }

    /// Whether a schema or one below it has a trait.
    static func contains(_ schema: JSON, _ trait: (JSON) -> Bool) -> Bool {
        trait(schema) || children(of: schema, at: "").contains { contains($0.schema, trait) }
    }
}
