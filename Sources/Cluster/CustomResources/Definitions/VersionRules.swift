// Which versions a definition may have.

import Formats
import Objects

struct VersionRules {
    private let versions: [JSON]
    private let list: JSON?

    init(_ spec: JSON) {
        list = spec["versions"]
        versions = spec["versions"]?.array ?? []
    }

    private static let columnTypes = ["boolean", "date", "integer", "number", "string"]
    private static let columnFormats = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"]
    private static let deprecationLength = 256

    func faults() -> [FieldFault] {
        var faults: [FieldFault] = []
        if versions.count > Definition.versionLimit {
            return [.tooMany("spec.versions", versions.count, limit: Definition.versionLimit)]
        }
        for (position, version) in versions.enumerated() where version["schema"]?.given("openAPIV3Schema") == nil {
            faults.append(.required("spec.versions[\(position)].schema.openAPIV3Schema", "schemas are required"))
        }
        for (position, version) in versions.enumerated() {
            let name = version["name"]?.string ?? ""
            if let fault = NameRules.fault(name, .label1035) {
                faults.append(.invalid("spec.versions[\(position)].name", .string(name), fault))
            }
            faults += deprecationFaults(version, at: "spec.versions[\(position)].deprecationWarning")
        }
        if !isShared("schema") { faults += eachVersion(schemaFaults) }
        if !isShared("subresources") { faults += eachVersion(subresourceFaults) }
        if !isShared("additionalPrinterColumns") { faults += eachVersion(columnFaults) }
        if !isShared("selectableFields") { faults += eachVersion(selectableFaults) }
        if Set(versions.map { $0["name"] }).count < versions.count {
            faults.append(.invalid("spec.versions", list, "must contain unique version names"))
        }
        if versions.count(where: { $0.flag("storage") }) != 1 {
            faults.append(.invalid("spec.versions", list, "must have exactly one version marked as storage version"))
        }
        guard let first = versions.first else { return faults }
        if isShared("schema") { faults += schemaFaults(first, at: "spec", "validation") }
        if isShared("subresources") { faults += subresourceFaults(first, at: "spec", "subresources") }
        if isShared("additionalPrinterColumns") {
            faults += columnFaults(first, at: "spec", "additionalPrinterColumns")
        }
        if isShared("selectableFields") { faults += selectableFaults(first, at: "spec", "selectableFields") }
        return faults
    }

    /// Whether all versions say the same, so that upstream keeps it once.
    private func isShared(_ field: String) -> Bool { Set(versions.map { $0[field] ?? .null }).count <= 1 }

    private func eachVersion(_ check: (JSON, String, String) -> [FieldFault]) -> [FieldFault] {
        versions.enumerated().flatMap { check($0.element, "spec.versions[\($0.offset)]", "") }
    }

    private func deprecationFaults(_ version: JSON, at path: String) -> [FieldFault] {
        guard let warning = version.given("deprecationWarning")?.string else { return [] }
        func fault(_ why: String) -> [FieldFault] { [.invalid(path, .string(warning), why)] }
        if !version.flag("deprecated") { return fault("can only be set for deprecated versions") }
        if warning.isEmpty { return fault("must not be an empty string") }
        var faults: [FieldFault] = []
        if warning.utf8.count > Self.deprecationLength { faults += fault("must be <= 256 characters long") }
        if let place = warning.unicodeScalars.firstIndex(where: { $0.properties.generalCategory == .control }) {
            let offset = warning.utf8.distance(from: warning.startIndex, to: place)
            faults += fault(
                "must only contain printable UTF-8 characters; non-printable character found at index \(offset)")
        }
        return faults
    }

    private func schemaFaults(_ version: JSON, at path: String, _ field: String) -> [FieldFault] {
        guard let schema = version["schema"]?.given("openAPIV3Schema") else { return [] }
        let hasStatus =
            field.isEmpty
            ? version["subresources"]?.given("status") != nil
            : versions.contains { $0["subresources"]?.given("status") != nil }
        return SchemaRules.faults(
            in: schema, at: "\(path).\(field.isEmpty ? "schema" : field).openAPIV3Schema", hasStatus: hasStatus)
    }

    // MARK: Subresources

    private func subresourceFaults(_ version: JSON, at path: String, _ field: String) -> [FieldFault] {
        guard let scale = version["subresources"]?.given("scale") else { return [] }
        let place = "\(path).subresources"
        var faults = pathFaults(
            scale["specReplicasPath"], below: [".spec."], "should be a json path under .spec",
            at: "\(place).scale.specReplicasPath")
        faults += pathFaults(
            scale["statusReplicasPath"], below: [".status."], "should be a json path under .status",
            at: "\(place).scale.statusReplicasPath")
        if scale.text("labelSelectorPath") != nil {
            faults += pathFaults(
                scale["labelSelectorPath"], below: [".spec.", ".status."],
                "should be a json path under either .spec or .status", at: "\(place).scale.labelSelectorPath")
        }
        return faults
    }

    private func pathFaults(_ value: JSON?, below roots: [String], _ why: String, at path: String) -> [FieldFault] {
        guard let text = value?.string, !text.isEmpty else { return [.required(path)] }
        if !text.hasPrefix(".") { return [.invalid(path, value, "must be a simple json path starting with .")] }
        if !roots.contains(where: { text.hasPrefix($0) }) { return [.invalid(path, value, why)] }
        if ObjectPath(text)?.members == nil {
            return [.invalid(path, value, "must be a json path in the dot notation")]
        }
        return []
    }

    // MARK: Columns and fields

    private func columnFaults(_ version: JSON, at path: String, _ field: String) -> [FieldFault] {
        (version["additionalPrinterColumns"]?.array ?? []).enumerated().flatMap { position, column in
            columnFaults(column, at: "\(path).additionalPrinterColumns[\(position)]")
        }
    }

    private func columnFaults(_ column: JSON, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        if column.text("name") == nil { faults.append(.required("\(path).name")) }
        let types = "must be one of \(Self.columnTypes.joined(separator: ","))"
        if let type = column.text("type") {
            if !Self.columnTypes.contains(type) { faults.append(.invalid("\(path).type", .string(type), types)) }
        } else {
            faults.append(.required("\(path).type", types))
        }
        if let format = column.text("format"), !Self.columnFormats.contains(format) {
            let why = "must be one of \(Self.columnFormats.joined(separator: ","))"
            faults.append(.invalid("\(path).format", .string(format), why))
        }
        if let text = column.text("jsonPath") {
            if !text.hasPrefix(".") {
                faults.append(
                    .invalid("\(path).JSONPath", .string(text), "must be a simple json path starting with ."))
            }
        } else {
            faults.append(.required("\(path).JSONPath"))
        }
        return faults
    }

    static let selectableLimit = 8

    private func selectableFaults(_ version: JSON, at path: String, _ field: String) -> [FieldFault] {
        let fields = version["selectableFields"]?.array ?? []
        let place = "\(path).selectableFields"
        let schema = StructuralSchema(version["schema"]?["openAPIV3Schema"] ?? [:])
        var faults: [FieldFault] = []
        var seen: Set<[String]> = []
        for (position, field) in fields.enumerated() {
            let place = "\(place)[\(position)].jsonPath"
            guard let text = field.text("jsonPath") else {
                faults.append(.required(place))
                continue
            }
            guard text.hasPrefix("."), let members = ObjectPath(text)?.members, let found = schema.property(at: members)
            else {
                faults.append(
                    .invalid(place, .string(text), "is an invalid path: does not refer to a valid field"))
                continue
            }
            if members.first == "metadata" {
                faults.append(.invalid(place, .string(text), "must not point to fields in metadata"))
            }
            if !["string", "boolean", "integer"].contains(found.type) {
                faults.append(
                    .invalid(
                        place, .string(text),
                        "must point to a field of type string, boolean or integer. Enum string fields and strings with "
                            + "formats are allowed."))
            }
            if !seen.insert(members).inserted { faults.append(.duplicate(place, .string(text))) }
        }
        if seen.count > Self.selectableLimit { faults.append(.tooMany(place, seen.count, limit: Self.selectableLimit)) }
        return faults
    }
}

extension StructuralSchema {
    /// The schema of a property within properties.
    func property(at names: [String]) -> StructuralSchema? {
        var schema: StructuralSchema? = self
        for name in names { schema = schema?.properties[name] }
        return schema
    }
}
