// Who owns which fields of an object: the content of `metadata.managedFields`.

import Formats

/// A writer of an object, as `managedFields` tells writers apart.
package struct FieldWriter: Sendable, Hashable {
    package enum Operation: String, Sendable { case apply = "Apply", update = "Update" }

    /// The name that the writer goes by, its field manager.
    package var name: String
    package var operation: Operation
    /// The version that its last write was made in. Appliers are told apart without it.
    package var apiVersion: String
    /// Empty for writes of the object itself.
    package var subresource: String

    package init(name: String, operation: Operation, apiVersion: String, subresource: String = "") {
        self.name = name.isEmpty ? Self.unknown : name
        self.operation = operation
        self.apiVersion = apiVersion
        self.subresource = subresource
    }

    /// What a writer without a name is called.
    package static let unknown = "unknown"

    package static func == (left: FieldWriter, right: FieldWriter) -> Bool {
        left.name == right.name && left.operation == right.operation && left.subresource == right.subresource
            && (left.operation == .apply || left.apiVersion == right.apiVersion)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(name)
        hasher.combine(operation)
        hasher.combine(subresource)
        if operation == .update { hasher.combine(apiVersion) }
    }

    /// How conflicts name the writer.
    var description: String {
        var text = JSON.string(name).text
        if !subresource.isEmpty { text += " with subresource \(JSON.string(subresource).text)" }
        return operation == .update ? "\(text) using \(apiVersion)" : text
    }
}

/// Owners with what they own.
package struct ManagedFields: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var writer: FieldWriter
        package var fields: FieldSet
        /// RFC 3339 with seconds; nil where a client left it out.
        package var time: String?
    }

    package private(set) var entries: [Entry] = []

    package init() {}

    package var isEmpty: Bool { entries.isEmpty }

    package subscript(_ writer: FieldWriter) -> Entry? { entries.first { $0.writer == writer } }

    /// Sets what a writer owns, with the version of its latest write; who owns nothing is no owner.
    mutating func set(_ fields: FieldSet, of writer: FieldWriter, time: String?) {
        entries.removeAll { $0.writer == writer }
        if !fields.isEmpty { entries.append(Entry(writer: writer, fields: fields, time: time)) }
    }

    /// Changes what every owner has; who has nothing left is no owner.
    mutating func editFields(_ edit: (FieldWriter, FieldSet) -> FieldSet) {
        for position in entries.indices {
            entries[position].fields = edit(entries[position].writer, entries[position].fields)
        }
        entries.removeAll { $0.fields.isEmpty }
    }
}

// MARK: The list in an object's metadata

extension ManagedFields {
    /// Reads `metadata.managedFields`; nil is nobody. Two entries of one writer become one.
    package init(_ list: JSON?) throws(FormatProblem) {
        self.init()
        guard let list, !list.isNull else { return }
        guard case .array(let elements) = list else { throw FormatProblem("managedFields must be a list") }
        for element in elements {
            guard let operation = element["operation"]?.string.flatMap(FieldWriter.Operation.init(rawValue:)) else {
                throw FormatProblem("invalid operation \(element["operation"]?.text ?? "\"\"") in managedFields")
            }
            if let type = element["fieldsType"]?.string, type != "FieldsV1" {
                throw FormatProblem(
                    type.isEmpty
                        ? "missing fieldsType in managed fields entry"
                        : "invalid fieldsType \"\(type)\" in managedFields")
            }
            let writer = FieldWriter(
                name: element["manager"]?.string ?? "", operation: operation,
                apiVersion: element["apiVersion"]?.string ?? "", subresource: element["subresource"]?.string ?? "")
            let fields = try FieldSet(fieldsV1: element["fieldsV1"] ?? [:])
            let all = self[writer].map { $0.fields.union(fields) } ?? fields
            set(all, of: writer, time: element["time"]?.string)
        }
    }

    /// Whether a writer sent the one empty entry that asks for the list to be forgotten.
    package static func isReset(_ list: JSON?) -> Bool {
        guard case .array(let elements)? = list, elements.count == 1 else { return false }
        return elements[0].object.map { $0.allSatisfy { $0.value.isNull } } ?? elements[0].isNull
    }

    /// The list for an object's metadata: appliers first, then by time and name; nil when nobody owns anything.
    package var tree: JSON? {
        if entries.isEmpty { return nil }
        let order = entries.indices.sorted { isBefore(entries[$0], entries[$1]) }
        return .array(order.map { tree(of: entries[$0]) })
    }

    private func isBefore(_ left: Entry, _ right: Entry) -> Bool {
        func texts(_ entry: Entry) -> [String] {
            // Times are all in UTC and seconds, so that their text orders as they do.
            [
                entry.writer.operation.rawValue, entry.time ?? "", entry.writer.name, entry.writer.apiVersion,
                entry.writer.subresource,
            ]
        }
        return texts(left).lexicographicallyPrecedes(texts(right))
    }

    private func tree(of entry: Entry) -> JSON {
        var members: [JSONObject.Member] = [
            .init(key: "manager", value: .string(entry.writer.name)),
            .init(key: "operation", value: .string(entry.writer.operation.rawValue)),
            .init(key: "apiVersion", value: .string(entry.writer.apiVersion)),
        ]
        if let time = entry.time { members.append(.init(key: "time", value: .string(time))) }
        members.append(.init(key: "fieldsType", value: "FieldsV1"))
        members.append(.init(key: "fieldsV1", value: entry.fields.fieldsV1))
        if !entry.writer.subresource.isEmpty {
            members.append(.init(key: "subresource", value: .string(entry.writer.subresource)))
        }
        return .object(JSONObject(unique: members))
    }
}

// MARK: The cap

extension ManagedFields {
    /// Updaters in one object; the oldest beyond it are joined. Appliers are never joined.
    package static let updaterLimit = 10
    /// The name that joined updaters go by.
    package static let joined = "ancient-changes"

    /// Joins the oldest updaters of each version until there are no more than `updaterLimit`, where versions allow.
    mutating func capUpdaters() {
        if entries.count <= Self.updaterLimit { return }
        var updaters = entries.filter { $0.writer.operation == .update }
        var count = updaters.count
        if count <= Self.updaterLimit { return }
        updaters.sort { ($0.time ?? "", $0.writer.name) < ($1.time ?? "", $1.writer.name) }
        var first: [String: FieldWriter] = [:]
        for updater in updaters where count > Self.updaterLimit {
            let version = updater.writer.apiVersion
            guard let earlier = first[version] else {
                first[version] = updater.writer
                continue
            }
            let bucket = FieldWriter(name: Self.joined, operation: .update, apiVersion: version)
            let others = self[bucket] ?? self[earlier]
            let isFirst = self[bucket] == nil
            if isFirst { entries.removeAll { $0.writer == earlier } }
            let all = updater.fields.union(others?.fields ?? FieldSet())
            entries.removeAll { $0.writer == updater.writer }
            set(all, of: bucket, time: updater.time)
            count -= 1
        }
    }
}

extension ManagedFields {
    /// Whether both say the same of everybody, whenever they were written.
    package func isSameApartFromTimes(_ other: ManagedFields) -> Bool {
        entries.count == other.entries.count
            && entries.allSatisfy { entry in
                guard let same = other[entry.writer] else { return false }
                return same.fields == entry.fields && same.writer.apiVersion == entry.writer.apiVersion
            }
    }
}
