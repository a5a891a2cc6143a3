// The columns of a custom resource's table.

import Formats

/// One of `additionalPrinterColumns` (upstream: pkg/registry/customresource/tableconvertor).
package struct PrinterColumn: Sendable, Hashable {
    package var name: String
    package var type: String
    package var format = ""
    package var description = ""
    /// Above 0 it shows only with `-o wide`.
    package var priority = 0
    package var path: ObjectPath

    /// What tables show of kinds that name no columns.
    package static let age: [PrinterColumn] =
        ObjectPath(".metadata.creationTimestamp").map {
            [PrinterColumn(name: "Age", type: "date", path: $0)]
        } ?? []

    package init(name: String, type: String, path: ObjectPath) {
        self.name = name
        self.type = type
        self.path = path
    }

    /// Nil when the path is not understood.
    init?(_ tree: JSON) {
        guard let text = tree["jsonPath"]?.string, let path = ObjectPath(text) else { return nil }
        self.init(name: tree["name"]?.string ?? "", type: tree["type"]?.string ?? "", path: path)
        format = tree["format"]?.string ?? ""
        description = tree.text("description") ?? "Custom resource definition column (in JSONPath format): \(text)"
        priority = tree["priority"]?.integer ?? 0
    }

    /// The cell of an object; `age` writes a moment as the time since then. Null where there is nothing to show or what
    /// there is does not fit the column's type.
    package func cell(of tree: JSON, age: (String) -> JSON) -> JSON {
        guard let value = path.values(in: tree).first, !value.isNull else { return .null }
        switch (type, value) {
        case ("string", .string): return value
        case ("string", _): return .string(value.text)
        case ("integer", .integer): return value
        case ("integer", .number(let number)):
            return Int64(exactly: number.rounded(.towardZero)).map { .integer($0) } ?? .null
        case ("number", .integer), ("number", .number), ("boolean", .bool): return value
        case ("date", .string(let text)): return Timestamp(rfc3339: text) == nil ? "<invalid>" : age(text)
        default: return .null
        }
    }
}
