// The table form of objects, which kubectl prints (upstream: pkg/printers/internalversion).

import Formats
import Objects

/// A column; priority above 0 shows only with `-o wide`.
struct TableColumn: Sendable, Hashable {
    var name: String
    var type = "string"
    var format = ""
    var description = ""
    var priority = 0

    var tree: JSON {
        [
            "name": .string(name), "type": .string(type), "format": .string(format),
            "description": .string(description),
            "priority": JSON(priority),
        ]
    }
}

/// How one kind is shown as rows.
struct TablePrinter: Sendable {
    var columns: [TableColumn]
    /// The cells of an object, one for each column.
    var cells: @Sendable (Object, Timestamp) -> [JSON]

    init(columns: [TableColumn], cells: @escaping @Sendable (Object, Timestamp) -> [JSON]) {
        self.columns = columns
        self.cells = cells
    }

    /// Columns by their names; a name that ends in `+` shows only with `-o wide`, one that ends in `#` holds
    /// integers, in `?` booleans.
    init(_ names: String..., cells: @escaping @Sendable (Object, Timestamp) -> [JSON]) {
        columns = names.map { name in
            var column = TableColumn(name: name)
            if column.name.hasSuffix("+") {
                column.name.removeLast()
                column.priority = 1
            }
            if column.name.hasSuffix("#") {
                column.name.removeLast()
                column.type = "integer"
            }
            if column.name.hasSuffix("?") {
                column.name.removeLast()
                column.type = "boolean"
            }
            if column.name == "Name" { column.format = "name" }
            return column
        }
        self.cells = cells
    }

    /// Name and age, for kinds without a printer of their own.
    static let plain = TablePrinter("Name", "Age") { object, now in [.string(object.name), Cell.age(object, now)] }

    /// What upstream shows of kinds that it has no printer for.
    static let created: TablePrinter = {
        var printer = TablePrinter("Name", "Created At") { object, _ in
            [.string(object.name), .string(object.creationTimestamp ?? "<unknown>")]
        }
        printer.columns[1].type = "date"
        return printer
    }()

    /// A `meta.k8s.io/v1` Table of these objects.
    func table(
        of objects: [Object], metadata: JSON, include: Representation.IncludeObject, now: Timestamp,
        withColumns: Bool = true
    ) -> JSON {
        var table: JSON = ["kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata]
        table["columnDefinitions"] = withColumns ? .array(columns.map(\.tree)) : .null
        table["rows"] = .array(objects.map { row($0, include: include, now: now) })
        return table
    }

    private func row(_ object: Object, include: Representation.IncludeObject, now: Timestamp) -> JSON {
        var row: JSON = ["cells": .array(cells(object, now))]
        switch include {
        case .none: break
        case .metadata: row["object"] = PartialMetadata.tree(of: object)
        case .object: row["object"] = object.tree
        }
        return row
    }
}

/// Objects without everything but their metadata.
enum PartialMetadata {
    static func tree(of object: Object) -> JSON {
        [
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"] ?? [:],
        ]
    }
}

/// What cells have in common.
enum Cell {
    static let unknown: JSON = "<unknown>"
    static let none = "<none>"
    static let unset = "<unset>"

    static func age(_ object: Object, _ now: Timestamp) -> JSON { since(object.creationTimestamp, now) }

    /// The time since a moment, as people read it; `<unknown>` without one.
    static func since(_ text: String?, _ now: Timestamp) -> JSON {
        guard let text, let moment = Timestamp(rfc3339: text) else { return unknown }
        return .string(humanDuration(Int(now.secondsSinceEpoch - moment.secondsSinceEpoch)))
    }

    /// Seconds as upstream's duration.HumanDuration writes them: two units at most, the second only while it tells
    /// something.
    static func humanDuration(_ seconds: Int) -> String {
        if seconds < -1 { return "<invalid>" }
        if seconds < 0 { return "0s" }
        if seconds < 120 { return "\(seconds)s" }
        let minutes = seconds / 60
        if minutes < 10 { return pair(minutes, "m", seconds % 60, "s") }
        if minutes < 180 { return "\(minutes)m" }
        let hours = minutes / 60
        if hours < 8 { return pair(hours, "h", minutes % 60, "m") }
        if hours < 48 { return "\(hours)h" }
        if hours < 192 { return pair(hours / 24, "d", hours % 24, "h") }
        if hours < 24 * 365 * 2 { return "\(hours / 24)d" }
        let days = hours / 24
        if hours < 24 * 365 * 8 { return pair(days / 365, "y", days % 365, "d") }
        return "\(days / 365)y"
    }

    private static func pair(_ big: Int, _ bigUnit: String, _ small: Int, _ smallUnit: String) -> String {
        small == 0 ? "\(big)\(bigUnit)" : "\(big)\(bigUnit)\(small)\(smallUnit)"
    }

    static func text(_ value: JSON?, orElse other: String = "") -> JSON {
        guard let text = value?.string, !text.isEmpty else { return .string(other) }
        return .string(text)
    }

    static func count(_ value: JSON?) -> JSON { JSON(value?.integer ?? 0) }

    /// Integers and texts as they are.
    static func intOrText(_ value: JSON?, orElse other: String) -> JSON {
        .string(value?.string ?? value?.integer.map(String.init) ?? other)
    }

    static func truth(_ value: JSON?) -> JSON { value?.bool.map { $0 ? "True" : "False" } ?? .string(unset) }

    /// The canonical text of a quantity.
    static func quantity(_ value: JSON?) -> String? {
        guard let text = value?.string ?? value?.integer.map(String.init) else { return nil }
        return (try? Quantity(parsing: text))?.text ?? text
    }

    /// How long something took, or has taken until now; empty before it began.
    static func duration(_ start: JSON?, _ end: JSON?, _ now: Timestamp) -> JSON {
        guard let start = start?.string.flatMap(Timestamp.init(rfc3339:)) else { return "" }
        let end = end?.string.flatMap(Timestamp.init(rfc3339:)) ?? now
        return .string(humanDuration(Int(end.secondsSinceEpoch - start.secondsSinceEpoch)))
    }

    /// Labels as `a=1,b=2`, `<none>` without any.
    static func labels(_ tree: JSON?) -> JSON {
        let labels = tree?.stringMap ?? [:]
        if labels.isEmpty { return .string(none) }
        return .string(labels.keys.sorted().map { "\($0)=\(labels[$0] ?? "")" }.joined(separator: ","))
    }

    /// Label selectors as text, `<none>` for an empty one.
    static func selector(_ tree: JSON?) -> JSON {
        guard let tree, let selector = try? LabelSelector(tree), !selector.isEmpty else { return .string(none) }
        return .string(selector.text)
    }

    /// The names and images of a pod template's containers.
    static func containers(_ spec: JSON?) -> (names: JSON, images: JSON) {
        let containers = spec?["containers"]?.array ?? []
        return (
            .string(containers.map { $0["name"]?.string ?? "" }.joined(separator: ",")),
            .string(containers.map { $0["image"]?.string ?? "" }.joined(separator: ","))
        )
    }
}
