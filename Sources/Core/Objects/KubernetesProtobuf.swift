// Kubernetes' protobuf form of objects: the envelope, and which numbers stand for which fields.

import Formats

/// Objects as `application/vnd.kubernetes.protobuf` (upstream: apimachinery, runtime/serializer/protobuf).
///
/// An object is four bytes of magic and a `runtime.Unknown`, which names the kind and carries the object's message. The
/// messages are read and written by the schema's table; kinds that it does not have, such as custom resources, have no
/// protobuf form.
package enum KubernetesProtobuf {
    package static let mediaType = "application/vnd.kubernetes.protobuf"
    /// `k8s` and a zero byte.
    package static let magic: [UInt8] = [0x6B, 0x38, 0x73, 0x00]
    /// Messages within each other.
    package static let depth = 256

    /// Numbers of `runtime.Unknown` and of the `TypeMeta` in it.
    private enum Number {
        static let typeMeta = 1
        static let raw = 2
        static let contentEncoding = 3
        static let apiVersion = 1
        static let kind = 2
    }

    /// What an envelope says, and its message unread.
    package struct Envelope: Sendable {
        package var apiVersion = ""
        package var kind = ""
        var message = ProtobufReader([])

        /// Opens an envelope. Throws when the bytes are none, or are packed in a way that this program does not know.
        package init(opening bytes: [UInt8]) throws(FormatProblem) {
            guard bytes.starts(with: KubernetesProtobuf.magic) else {
                throw FormatProblem(
                    "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
            }
            var reader = ProtobufReader(bytes, from: KubernetesProtobuf.magic.count)
            while !reader.isAtEnd {
                let (number, wireType) = try reader.tag()
                switch (number, wireType) {
                case (Number.typeMeta, .lengthDelimited): try readTypeMeta(try reader.content())
                case (Number.raw, .lengthDelimited): message = try reader.content()
                case (Number.contentEncoding, .lengthDelimited):
                    let encoding = String(decoding: try reader.content().rest, as: UTF8.self)
                    if !encoding.isEmpty { throw reader.problem("the content encoding \"\(encoding)\" is not known") }
                default: try reader.skip(number, wireType)
                }
            }
        }

        private mutating func readTypeMeta(_ content: ProtobufReader) throws(FormatProblem) {
            var reader = content
            while !reader.isAtEnd {
                let (number, wireType) = try reader.tag()
                switch (number, wireType) {
                case (Number.apiVersion, .lengthDelimited):
                    apiVersion = String(decoding: try reader.content().rest, as: UTF8.self)
                case (Number.kind, .lengthDelimited):
                    kind = String(decoding: try reader.content().rest, as: UTF8.self)
                default: try reader.skip(number, wireType)
                }
            }
        }

        /// The object, read as this type, with the kind that the envelope names.
        package func object(as type: SchemaType) throws(FormatProblem) -> JSON {
            let reader = ProtobufObjectReader()
            var tree: JSON = [:]
            if !kind.isEmpty { tree["kind"] = .string(kind) }
            if !apiVersion.isEmpty { tree["apiVersion"] = .string(apiVersion) }
            for member in try reader.object(message, as: type, depthLeft: KubernetesProtobuf.depth) {
                tree[member.key] = member.value
            }
            return tree
        }
    }

    /// An object in its envelope. Throws when its kind has no protobuf form or a value is not of its field's kind.
    package static func bytes(of tree: JSON) throws(FormatProblem) -> [UInt8] {
        let apiVersion = tree["apiVersion"]?.string ?? ""
        let kind = tree["kind"]?.string ?? ""
        guard let type = type(apiVersion: apiVersion, kind: kind) else {
            throw FormatProblem("\(apiVersion) \(kind) has no protobuf form")
        }
        var typeMeta = ProtobufWriter()
        typeMeta.write(Number.apiVersion, content: apiVersion.utf8)
        typeMeta.write(Number.kind, content: kind.utf8)
        var unknown = ProtobufWriter()
        unknown.append(contentsOf: magic)
        unknown.write(Number.typeMeta, content: typeMeta.bytes)
        unknown.write(Number.raw, content: try ProtobufObjectWriter().message(tree, as: type))
        unknown.write(Number.contentEncoding, content: [])
        unknown.write(Number.contentEncoding + 1, content: [])
        return unknown.bytes
    }

    /// The type that a kind's messages have. `DeleteOptions` belongs to every group.
    package static func type(apiVersion: String, kind: String) -> SchemaType? {
        kind == "DeleteOptions"
            ? Schema.type(named: "meta.v1.DeleteOptions") : Schema.type(apiVersion: apiVersion, kind: kind)
    }

    /// A frame of a watch: four bytes of length, then a `WatchEvent` around the object's envelope.
    package static func watchFrame(_ event: String, _ object: [UInt8]) -> [UInt8] {
        var raw = ProtobufWriter()
        raw.write(1, content: object)
        var message = ProtobufWriter()
        message.write(1, content: event.utf8)
        message.write(2, content: raw.bytes)
        let count = UInt32(message.bytes.count)
        var frame: [UInt8] = []
        frame.reserveCapacity(message.bytes.count + 4)
        for shift: UInt32 in [24, 16, 8, 0] { frame.append(UInt8(truncatingIfNeeded: count >> shift)) }
        frame += message.bytes
        return frame
    }
}

/// The fields of a message by number.
struct ProtobufShape: Sendable {
    indirect enum Slot: Sendable {
        case field(SchemaField)
        /// A message whose fields are the outer object's own in JSON.
        case inlined(ProtobufShape)
    }

    private(set) var slots: [Int: Slot] = [:]

    private init() {}

    private init(_ type: SchemaType) {
        for field in type.fields.values where !field.protobufPath.isEmpty { insert(field, at: field.protobufPath[...]) }
    }

    private mutating func insert(_ field: SchemaField, at path: ArraySlice<Int>) {
        guard let number = path.first else { return }
        if path.count == 1 {
            slots[number] = .field(field)
            return
        }
        var inner = ProtobufShape()
        if case .inlined(let found)? = slots[number] { inner = found }
        inner.insert(field, at: path.dropFirst())
        slots[number] = .inlined(inner)
    }

    static func of(_ type: SchemaType) -> ProtobufShape { shapes[type.name] ?? ProtobufShape(type) }

    /// Of every type of the table, made once at first use.
    private static let shapes = Schema.types.mapValues { ProtobufShape($0) }
}
