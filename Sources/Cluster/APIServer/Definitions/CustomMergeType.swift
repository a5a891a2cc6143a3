// How custom resources merge in server-side apply.

import CustomResources
import Formats
import Objects

/// A structural schema as merging sees it (upstream: pkg/controller/openapi/builder and managedfields).
struct CustomMergeType: MergeType {
    private let schema: StructuralSchema
    private let isRoot: Bool

    init(root schema: StructuralSchema) {
        self.schema = schema
        isRoot = true
    }

    private init(_ schema: StructuralSchema) {
        self.schema = schema
        isRoot = false
    }

    var scalar: MergeScalar? {
        switch schema.type {
        case "string": .string
        case "integer", "number": .numeric
        case "boolean": .boolean
        case "": .any
        default: nil
        }
    }

    var list: MergeList? {
        guard schema.type == "array" || isOpen else { return nil }
        guard let items = schema.items else { return DeducedType().list }
        let element = CustomMergeType(items)
        switch schema.listType {
        case .set: return MergeList(.set, of: element)
        case .map(let keys):
            return MergeList(
                .keyed(keys.map { MergeList.Key($0, default: items.properties[$0]?.defaultValue) }), of: element)
        case .atomic, nil: return MergeList(.atomic, of: element)
        }
    }

    var map: MergeMap? {
        guard schema.type == "object" || isOpen else { return nil }
        switch schema.additional {
        case .schema(let element): return MergeMap(isAtomic: schema.isAtomicMap, element: CustomMergeType(element))
        case .anything: return MergeMap(isAtomic: schema.isAtomicMap, element: DeducedType())
        case .unspecified:
            // Unknown members of an object are pruned later; whoever sends them is not refused for that here.
            return MergeMap(isAtomic: schema.isAtomicMap, element: DeducedType())
        }
    }

    func field(_ name: String) -> (any MergeType)? {
        if isRoot || schema.isEmbeddedResource {
            switch name {
            case "metadata": return SchemaMergeType.objectMetadata
            case "apiVersion", "kind": return CustomMergeType(StructuralSchema(["type": "string"]))
            default: break
            }
        }
        return schema.properties[name].map { CustomMergeType($0) }
    }

    /// Whether values of any form may stand here.
    private var isOpen: Bool { schema.type.isEmpty && !schema.isIntOrString }
}
