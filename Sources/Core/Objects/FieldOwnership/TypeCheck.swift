// Checks that an applied object fits its type: declared fields, kinds of scalars, keys of lists.

import Formats

/// Upstream: `structured-merge-diff`, `typed/validate.go`; its words, because clients read them.
struct TypeCheck {
    private(set) var faults: [TypeFault] = []
    private var path: [PathElement] = []

    /// What is wrong with a value, every fault with its path.
    static func faults(in value: JSON, type: any MergeType) -> [TypeFault] {
        var check = TypeCheck()
        check.check(value, type)
        return check.faults
    }

    private mutating func fault(_ message: String) {
        faults.append(TypeFault(path: ElementPath(path), message: message))
    }

    private mutating func check(_ value: JSON, _ type: any MergeType) {
        switch MergeForm(type, for: value) {
        case .scalar(let scalar)?: check(value, scalar)
        case .list(let list)?:
            if value.isNull { return }
            guard case .array(let items) = value else { return fault("expected list, got \(Self.plain(value))") }
            check(items, list)
        case .map(let map)?:
            if value.isNull { return }
            guard case .object(let object) = value else { return fault("expected map, got \(Self.plain(value))") }
            for member in object {
                path.append(.field(member.key))
                if let type = type.field(member.key) ?? map.element {
                    check(member.value, type)
                } else {
                    fault("field not declared in schema")
                }
                path.removeLast()
            }
        case nil: fault("no type found matching the value")
        }
    }

    private mutating func check(_ items: [JSON], _ list: MergeList) {
        var seen: Set<PathElement> = []
        for (position, item) in items.enumerated() {
            let element: PathElement
            do throws(TypeFault) {
                element = try list.pathElement(of: item, at: position)
            } catch {
                fault(error.message)
                return
            }
            if !seen.insert(element).inserted { fault("duplicate entries for key \(element)") }
            path.append(element)
            check(item, list.element)
            path.removeLast()
        }
    }

    private mutating func check(_ value: JSON, _ scalar: MergeScalar) {
        if value.isNull { return }
        switch scalar {
        case .numeric:
            if value.number == nil { fault("expected numeric (int or float), got \(Self.goType(value))") }
        case .string:
            if value.string == nil {
                fault("expected string, got &value.valueUnstructured{Value:\(Self.goText(value))}")
            }
        case .boolean:
            if value.bool == nil { fault("expected boolean, got \(Self.plain(value))") }
        case .any:
            switch value {
            case .array, .object: fault("expected any scalar, got \(Self.plain(value))")
            default: break
            }
        }
    }

    /// A value as Go's `%v` prints the box that upstream holds it in.
    private static func plain(_ value: JSON) -> String { "&{\(value.string ?? goText(value))}" }

    private static func goText(_ value: JSON) -> String {
        switch value {
        case .object(let object):
            "map[\(object.map { "\($0.key):\(goText($0.value))" }.sorted().joined(separator: " "))]"
        case .array(let items): "[\(items.map(goText).joined(separator: " "))]"
        default: value.text
        }
    }

    private static func goType(_ value: JSON) -> String {
        switch value {
        case .string: "string"
        case .bool: "bool"
        case .integer: "int64"
        case .number: "float64"
        case .array: "[]interface {}"
        case .object: "map[string]interface {}"
        case .null: "nil"
        }
    }
}

extension [TypeFault] {
    /// One fault as it is, several as a list below `errors:`.
    var text: String {
        count == 1 ? self[0].description : (["errors:"] + map { "  \($0)" }).joined(separator: "\n")
    }
}
