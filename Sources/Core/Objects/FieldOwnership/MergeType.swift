// How the values of a type merge; the kinds of types there are, apart from where they are written down.

import Formats

/// One type as merging sees it: which of scalar, list and map its values may be, and how each merges.
///
/// Kubernetes' own types are read from `Schema` (`SchemaMergeType`); custom resources bring theirs. Types may be
/// recursive, so a type answers for its parts when it is asked.
package protocol MergeType: Sendable {
    var scalar: MergeScalar? { get }
    var list: MergeList? { get }
    var map: MergeMap? { get }
    /// The type of a member that the type declares; nil for members of maps and for members that are not known.
    func field(_ name: String) -> (any MergeType)?
    /// Declared members that every value has whether it is written or not, with what they then are: `{}` for structs
    /// that Go holds by value, null for lists that it always writes. They decide what a first write is taken to add.
    var standingFields: [(name: String, value: JSON)] { get }
}

extension MergeType {
    package var scalar: MergeScalar? { nil }
    package var list: MergeList? { nil }
    package var map: MergeMap? { nil }
    package func field(_ name: String) -> (any MergeType)? { nil }
    package var standingFields: [(name: String, value: JSON)] { [] }
}

/// Which scalars a type takes.
package enum MergeScalar: Sendable, Hashable { case numeric, string, boolean, any }

/// How lists of a type merge.
package struct MergeList: Sendable {
    package enum Relation: Sendable, Hashable {
        /// Replaced whole and owned whole.
        case atomic
        /// Elements are scalars that occur once.
        case set
        /// Elements are told apart by the values of these members.
        case keyed([Key])
    }

    package struct Key: Sendable, Hashable {
        package var name: String
        /// What the member counts as where an element leaves it out; nil makes leaving it out an error.
        package var defaultValue: JSON?

        package init(_ name: String, default value: JSON? = nil) {
            self.name = name
            defaultValue = value
        }
    }

    package var relation: Relation
    package var element: any MergeType

    package init(_ relation: Relation, of element: any MergeType) {
        self.relation = relation
        self.element = element
    }
}

/// How maps of a type merge.
package struct MergeMap: Sendable {
    /// Replaced whole and owned whole.
    package var isAtomic: Bool
    /// The type of members that are not declared; nil makes such members an error.
    package var element: (any MergeType)?

    package init(isAtomic: Bool = false, element: (any MergeType)?) {
        self.isAtomic = isAtomic
        self.element = element
    }
}

/// A type that nothing is known of: maps merge member by member, lists are replaced.
package struct DeducedType: MergeType {
    package init() {}
    package var scalar: MergeScalar? { .any }
    package var list: MergeList? { MergeList(.atomic, of: UntypedAtom()) }
    package var map: MergeMap? { MergeMap(element: DeducedType()) }
}

/// A type that nothing is known of and that is owned whole.
package struct UntypedAtom: MergeType {
    package init() {}
    package var scalar: MergeScalar? { .any }
    package var list: MergeList? { MergeList(.atomic, of: UntypedAtom()) }
    package var map: MergeMap? { MergeMap(isAtomic: true, element: UntypedAtom()) }
}

/// The form that a value of a type is handled in.
enum MergeForm {
    case scalar(MergeScalar)
    case list(MergeList)
    case map(MergeMap)

    /// The form of a value; nil and unfitting values get the form that the type prefers. Nil for a type without forms.
    init?(_ type: any MergeType, for value: JSON?) {
        switch value {
        case .integer, .number, .string, .bool:
            if let scalar = type.scalar {
                self = .scalar(scalar)
                return
            }
        case .array:
            if let list = type.list {
                self = .list(list)
                return
            }
        case .object: break
        case .null, nil: break
        }
        if let map = type.map {
            self = .map(map)
        } else if let scalar = type.scalar {
            self = .scalar(scalar)
        } else if let list = type.list {
            self = .list(list)
        } else {
            return nil
        }
    }

    var isScalar: Bool { if case .scalar = self { true } else { false } }
    var kind: Int {
        switch self {
        case .scalar: 0
        case .list: 1
        case .map: 2
        }
    }
}

extension MergeType {
    /// The type of a member of a map or struct; `DeducedType` where nothing says.
    func member(_ name: String) -> any MergeType { field(name) ?? map?.element ?? DeducedType() }
}

/// Why an object does not fit its type.
package struct TypeFault: Error, Sendable, Hashable, CustomStringConvertible {
    package var path: ElementPath
    package var message: String

    package var description: String { path.elements.isEmpty ? message : "\(path): \(message)" }
}

extension MergeList {
    /// How an element is named; throws the fault that makes it impossible.
    func pathElement(of element: JSON, at position: Int) throws(TypeFault) -> PathElement {
        func fault(_ message: String) -> TypeFault {
            TypeFault(path: ElementPath(), message: "element \(position): \(message)")
        }
        switch relation {
        case .atomic: return .index(position)
        case .set:
            switch element {
            case .object: throw fault("associative list without keys has an element that's a map type")
            case .array: throw fault("not supported: associative list with lists as elements")
            case .null: throw fault("associative list without keys has an element that's an explicit null")
            default: return .value(element)
            }
        case .keyed(let keys):
            if element.isNull { throw fault("associative list with keys may not have a null element") }
            guard case .object(let object) = element else {
                throw fault("associative list with keys may not have non-map elements")
            }
            var parts: [PathElement.KeyPart] = []
            for key in keys {
                guard let value = object[key.name] ?? key.defaultValue else {
                    throw fault(
                        "associative list with keys has an element that omits key field \"\(key.name)\" (and doesn't "
                            + "have default value)")
                }
                parts.append(.init(name: key.name, value: value))
            }
            if parts.count > 1 { parts.sort { $0.name < $1.name } }
            return .key(parts)
        }
    }
}
