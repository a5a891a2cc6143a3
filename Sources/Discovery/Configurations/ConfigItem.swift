// A configuration item as Nacos knows it, and the ways to ask for it.

import Crypto
import Objects

/// The name of a configuration item. The namespace is a Kubernetes one (`default`, which Nacos calls `public`).
package struct ConfigName: Hashable, Sendable, Comparable, CustomStringConvertible {
    package static let defaultGroup = "DEFAULT_GROUP"

    package var namespace: String
    package var group: String
    package var dataID: String

    package init(namespace: String, group: String = ConfigName.defaultGroup, dataID: String) {
        self.namespace = namespace
        self.group = group
        self.dataID = dataID
    }

    /// `namespace/group@@dataId`.
    package var description: String { "\(namespace)/\(group)@@\(dataID)" }

    package static func < (left: ConfigName, right: ConfigName) -> Bool {
        (left.namespace, left.group, left.dataID) < (right.namespace, right.group, right.dataID)
    }
}

/// One text of an item with its fingerprint, by which clients tell versions apart.
package struct ConfigText: Hashable, Sendable {
    package let content: String
    /// Lower-case hexadecimal digits of the content's MD5.
    package let md5: String

    package init(_ content: String) {
        self.content = content
        md5 = Self.md5(content)
    }

    package static func md5(_ content: String) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(32)
        for byte in Insecure.MD5.hash(data: Array(content.utf8)) {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// What is known of an item beside its texts.
package struct ConfigDetails: Hashable, Sendable {
    /// `text`, `json`, `xml`, `yaml`, `html`, `properties`, `toml`; empty where nobody said.
    package var type = ""
    package var application = ""
    package var summary = ""
    /// By comma.
    package var labels = ""
    /// The key that the content is encrypted with, itself encrypted; only clients can read it.
    package var encryptedDataKey = ""
    package var writer = ""
    package var writerAddress = ""
    package var use = ""
    package var effect = ""
    package var schema = ""
    package var createdMilliseconds: UInt64 = 0
    package var modifiedMilliseconds: UInt64 = 0

    package init() {}
}

/// A text that only some addresses are shown.
package struct BetaText: Hashable, Sendable {
    package var addresses: [String]
    package var text: ConfigText
}

/// A configuration item: the text for everyone, and the texts for some.
package struct ConfigItem: Hashable, Sendable {
    package var name: ConfigName
    /// Nil while only a beta or tagged text exists.
    package var text: ConfigText?
    package var beta: BetaText?
    package var tagged: [String: ConfigText] = [:]
    package var details = ConfigDetails()

    package init(name: ConfigName, text: ConfigText?) {
        self.name = name
        self.text = text
    }

    /// A number that consoles call the item by: the same for as long as the name is, below 2^53 so that JavaScript can
    /// hold it.
    package var id: UInt64 { CarriedName.hash(name.description) >> 11 }

    /// What one reader is shown.
    package func shown(to reader: ConfigReader) -> ShownText? {
        if let beta, beta.addresses.contains(reader.address) { return ShownText(text: beta.text, variant: .beta([])) }
        if let tag = reader.tag, let text = tagged[tag] { return ShownText(text: text, variant: .tag(tag)) }
        return text.map { ShownText(text: $0, variant: .everyone) }
    }
}

/// Who reads.
package struct ConfigReader: Hashable, Sendable {
    /// The IP address it comes from.
    package var address: String
    package var tag: String?

    package init(address: String, tag: String? = nil) {
        self.address = address
        self.tag = tag
    }
}

package struct ShownText: Hashable, Sendable {
    package var text: ConfigText
    package var variant: ConfigVariant
}

/// Which of an item's texts.
package enum ConfigVariant: Hashable, Sendable {
    case everyone
    /// For readers at these addresses; the addresses do not matter where it is read or removed.
    case beta([String])
    case tag(String)
}

/// A text that somebody wants to publish.
package struct ConfigDraft: Sendable {
    package var name: ConfigName
    package var content: String
    package var variant = ConfigVariant.everyone
    /// Publish only over a text with this fingerprint, or where there is none.
    package var expectedMD5: String?
    /// Empty texts keep what the item has.
    package var details = ConfigDetails()

    package init(name: ConfigName, content: String) {
        self.name = name
        self.content = content
    }
}

/// One entry of an item's history.
package struct ConfigVersion: Hashable, Sendable {
    package enum Deed: String, Sendable {
        case inserted = "I"
        case updated = "U"
        case deleted = "D"
    }

    /// Grows with every entry of the item.
    package var number: UInt64
    package var name: ConfigName
    package var deed: Deed
    /// The text that was put in, or the one that was replaced or removed.
    package var content: String
    package var details: ConfigDetails
}
