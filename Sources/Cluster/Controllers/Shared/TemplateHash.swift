// The `pod-template-hash` label: a short name for the content of a pod template.

import Formats

enum TemplateHash {
    static let label = "pod-template-hash"
    static let length = 10
    /// Upstream's alphabet: no vowels, so that no words come out.
    private static let alphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)

    /// The hash of a template; `collisionCount` gives another one when a name was taken by something else.
    static func text(_ template: JSON, collisionCount: Int) -> String {
        var hash = FNV64()
        hash.add(template)
        if collisionCount > 0 { hash.add(JSON(collisionCount)) }
        var value = hash.value
        var output: [UInt8] = []
        for _ in 0..<length {
            output.append(alphabet[Int(value % UInt64(alphabet.count))])
            value /= UInt64(alphabet.count)
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// A template without the label that the Deployment controller adds, for comparing.
    static func plain(_ template: JSON) -> JSON {
        var template = template
        guard var labels = template["metadata", "labels"] else { return template }
        labels[label] = nil
        let isEmpty = labels.object?.isEmpty == true
        template["metadata", "labels"] = isEmpty ? Optional.none : labels
        return template
    }
}

/// FNV-1a over a JSON tree; the order of members does not matter.
private struct FNV64 {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    mutating func add(_ tree: JSON) {
        switch tree {
        case .object(let object):
            add(UInt8(ascii: "{"))
            for key in object.keys.sorted() {
                add(JSON.string(key))
                add(object[key] ?? .null)
            }
            add(UInt8(ascii: "}"))
        case .array(let values):
            add(UInt8(ascii: "["))
            for value in values { add(value) }
            add(UInt8(ascii: "]"))
        default:
            for byte in tree.bytes { add(byte) }
            add(UInt8(ascii: ","))
        }
    }

    private mutating func add(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
}
