// OpenAPI version 2 as protobuf, the only form that Go clients ask for (gnostic-models, openapiv2/OpenAPIv2.proto).

import Formats

/// Writes the document that `OpenAPIWriter` makes: of types what explaining and patching need, not the bounds and
/// patterns that definitions of custom resources may have. Pure.
enum OpenAPIProtobuf {
    /// What clients ask for; upstream answers with a name that is also a valid media type.
    static let mediaTypes = [answerType, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"]
    static let answerType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

    static func bytes(of document: JSON) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.write(1, content: text(document["swagger"]))
        var info = ProtobufWriter()
        info.write(1, content: text(document["info", "title"]))
        info.write(2, content: text(document["info", "version"]))
        writer.write(2, content: info.bytes)
        var paths = ProtobufWriter()
        for member in document["paths"]?.object ?? JSONObject() {
            paths.write(2, content: named(member.key, pathItem(member.value)))
        }
        writer.write(8, content: paths.bytes)
        writer.write(9, content: schemas(document["definitions"]))
        return writer.bytes
    }

    private static func text(_ value: JSON?) -> String.UTF8View { (value?.string ?? "").utf8 }

    /// A `Named…` message: a name and what it stands for.
    private static func named(_ name: String, _ value: [UInt8]) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.write(1, content: name.utf8)
        writer.write(2, content: value)
        return writer.bytes
    }

    private static func write(strings list: JSON?, at number: Int, to writer: inout ProtobufWriter) {
        for value in list?.strings ?? [] { writer.write(number, content: value.utf8) }
    }

    /// Members that begin with `x-`; their values as YAML, of which JSON is a part.
    private static func write(extensionsOf tree: JSON, at number: Int, to writer: inout ProtobufWriter) {
        for member in tree.object ?? JSONObject() where member.key.hasPrefix("x-") {
            var any = ProtobufWriter()
            any.write(2, content: member.value.bytes)
            writer.write(number, content: named(member.key, any.bytes))
        }
    }

    // MARK: Operations

    private static func pathItem(_ tree: JSON) -> [UInt8] {
        var writer = ProtobufWriter()
        for (number, method) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
            if let operation = tree[method] { writer.write(number, content: self.operation(operation)) }
        }
        for parameter in tree["parameters"]?.array ?? [] { writer.write(9, content: self.parameter(parameter)) }
        return writer.bytes
    }

    private static func operation(_ tree: JSON) -> [UInt8] {
        var writer = ProtobufWriter()
        write(strings: tree["tags"], at: 1, to: &writer)
        writer.write(5, content: text(tree["operationId"]))
        write(strings: tree["produces"], at: 6, to: &writer)
        write(strings: tree["consumes"], at: 7, to: &writer)
        for parameter in tree["parameters"]?.array ?? [] { writer.write(8, content: self.parameter(parameter)) }
        var responses = ProtobufWriter()
        for member in tree["responses"]?.object ?? JSONObject() {
            responses.write(1, content: named(member.key, response(member.value)))
        }
        writer.write(9, content: responses.bytes)
        write(extensionsOf: tree, at: 13, to: &writer)
        return writer.bytes
    }

    private static func response(_ tree: JSON) -> [UInt8] {
        var response = ProtobufWriter()
        response.write(1, content: text(tree["description"]))
        if let schema = tree["schema"] {
            var item = ProtobufWriter()
            item.write(1, content: self.schema(schema))
            response.write(2, content: item.bytes)
        }
        var value = ProtobufWriter()
        value.write(1, content: response.bytes)
        return value.bytes
    }

    /// A `ParametersItem` around a body's, query's or path's parameter.
    private static func parameter(_ tree: JSON) -> [UInt8] {
        var inner = ProtobufWriter()
        let place = tree["in"]?.string ?? ""
        let isRequired: UInt64 = tree["required"] == true ? 1 : 0
        var parameter = ProtobufWriter()
        if place == "body" {
            inner.write(2, content: text(tree["name"]))
            inner.write(3, content: place.utf8)
            inner.write(4, varint: isRequired)
            inner.write(5, content: schema(tree["schema"] ?? [:]))
            parameter.write(1, content: inner.bytes)
        } else {
            inner.write(1, varint: isRequired)
            inner.write(2, content: place.utf8)
            inner.write(4, content: text(tree["name"]))
            let isQuery = place == "query"
            inner.write(isQuery ? 6 : 5, content: text(tree["type"]))
            inner.write(isQuery ? 20 : 19, varint: tree["uniqueItems"] == true ? 1 : 0)
            var choice = ProtobufWriter()
            choice.write(isQuery ? 3 : 4, content: inner.bytes)
            parameter.write(2, content: choice.bytes)
        }
        var item = ProtobufWriter()
        item.write(1, content: parameter.bytes)
        return item.bytes
    }

    // MARK: Types

    private static func schemas(_ tree: JSON?) -> [UInt8] {
        var writer = ProtobufWriter()
        for member in tree?.object ?? JSONObject() {
            writer.write(1, content: named(member.key, schema(member.value)))
        }
        return writer.bytes
    }

    private static func schema(_ tree: JSON) -> [UInt8] {
        var writer = ProtobufWriter()
        if let reference = tree["$ref"]?.string { writer.write(1, content: reference.utf8) }
        if let format = tree["format"]?.string { writer.write(2, content: format.utf8) }
        if let description = tree["description"]?.string { writer.write(4, content: description.utf8) }
        write(strings: tree["required"], at: 19, to: &writer)
        if let additional = tree["additionalProperties"] {
            var item = ProtobufWriter()
            if let isAllowed = additional.bool {
                item.write(2, varint: isAllowed ? 1 : 0)
            } else {
                item.write(1, content: schema(additional))
            }
            writer.write(21, content: item.bytes)
        }
        if let type = tree["type"]?.string {
            var item = ProtobufWriter()
            item.write(1, content: type.utf8)
            writer.write(22, content: item.bytes)
        }
        if let items = tree["items"] {
            var item = ProtobufWriter()
            item.write(1, content: schema(items))
            writer.write(23, content: item.bytes)
        }
        if let properties = tree["properties"] { writer.write(25, content: schemas(properties)) }
        write(extensionsOf: tree, at: 31, to: &writer)
        return writer.bytes
    }
}
