// What is wrong with one field of an object, in upstream's words (apimachinery, util/validation/field/errors.go).

import Formats

/// One finding of a validation.
package struct FieldFault: Sendable, Hashable {
    package enum Kind: String, Sendable {
        case required = "FieldValueRequired"
        case invalid = "FieldValueInvalid"
        case notSupported = "FieldValueNotSupported"
        case forbidden = "FieldValueForbidden"
        case duplicate = "FieldValueDuplicate"
        case notFound = "FieldValueNotFound"
        case tooLong = "FieldValueTooLong"
        case tooMany = "FieldValueTooMany"
        case typeInvalid = "FieldValueTypeInvalid"
    }

    package var kind: Kind
    /// Like `spec.containers[0].name`.
    package var path: String
    package var message: String

    package init(kind: Kind, path: String, message: String) {
        self.kind = kind
        self.path = path
        self.message = message
    }

    package static func required(_ path: String, _ detail: String = "") -> FieldFault {
        FieldFault(kind: .required, path: path, message: "Required value" + (detail.isEmpty ? "" : ": \(detail)"))
    }

    package static func invalid(_ path: String, _ value: JSON?, _ detail: String) -> FieldFault {
        FieldFault(kind: .invalid, path: path, message: "Invalid value: \((value ?? .null).text): \(detail)")
    }

    package static func notSupported(_ path: String, _ value: JSON?, _ supported: [String]) -> FieldFault {
        let names = supported.map { "\"\($0)\"" }.joined(separator: ", ")
        return FieldFault(
            kind: .notSupported, path: path,
            message: "Unsupported value: \((value ?? .null).text): supported values: \(names)")
    }

    /// A value of the wrong type; the words are those of an invalid value, only the reason differs.
    package static func typeInvalid(_ path: String, _ value: JSON?, _ detail: String) -> FieldFault {
        FieldFault(kind: .typeInvalid, path: path, message: "Invalid value: \((value ?? .null).text): \(detail)")
    }

    package static func tooLong(_ path: String, limit: Int) -> FieldFault {
        FieldFault(kind: .tooLong, path: path, message: "Too long: may not be more than \(limit) bytes")
    }

    package static func tooMany(_ path: String, _ count: Int, limit: Int) -> FieldFault {
        let items = limit == 1 ? "item" : "items"
        return FieldFault(
            kind: .tooMany, path: path, message: "Too many: \(count): must have at most \(limit) \(items)")
    }

    package static func forbidden(_ path: String, _ detail: String) -> FieldFault {
        FieldFault(kind: .forbidden, path: path, message: "Forbidden: \(detail)")
    }

    package static func duplicate(_ path: String, _ value: JSON?) -> FieldFault {
        FieldFault(kind: .duplicate, path: path, message: "Duplicate value: \((value ?? .null).text)")
    }

    package static func notFound(_ path: String, _ value: JSON?) -> FieldFault {
        FieldFault(kind: .notFound, path: path, message: "Not found: \((value ?? .null).text)")
    }
}

extension Problem {
    /// 422 `Pod "web" is invalid: spec.containers: Required value`.
    package static func invalid(_ resource: Resource, _ name: String, _ faults: [FieldFault]) -> Problem {
        let kind = resource.group.isEmpty ? resource.kind : "\(resource.kind).\(resource.group)"
        var seen: Set<String> = []
        let lines = faults.map { "\($0.path): \($0.message)" }.filter { seen.insert($0).inserted }
        let text = lines.count == 1 ? lines[0] : "[\(lines.joined(separator: ", "))]"
        var problem = Problem(.invalid, "\(kind) \"\(name)\" is invalid: \(text)")
        problem.group = resource.group
        problem.kind = resource.kind
        problem.name = name
        problem.causes = faults.map { Cause(reason: $0.kind.rawValue, message: $0.message, field: $0.path) }
        return problem
    }

    /// 403 `pods "web" is forbidden: why`.
    package static func forbidden(_ resource: Resource, _ name: String, _ why: String) -> Problem {
        let subject = name.isEmpty ? resource.qualifiedName : "\(resource.qualifiedName) \"\(name)\""
        var problem = Problem(.forbidden, "\(subject) is forbidden: \(why)")
        problem.group = resource.group
        problem.kind = resource.plural
        problem.name = name
        return problem
    }
}
