// Who may do what with a znode: entries of permissions and identities, and the proofs by which clients get identities.

import Crypto
import Formats

/// Bits of an access entry (org.apache.zookeeper.ZooDefs.Perms).
struct Permissions: OptionSet, Hashable, Sendable {
    let rawValue: Int32
    static let read = Permissions(rawValue: 1)
    static let write = Permissions(rawValue: 2)
    static let create = Permissions(rawValue: 4)
    static let delete = Permissions(rawValue: 8)
    static let admin = Permissions(rawValue: 16)
    static let all = Permissions(rawValue: 31)
}

struct Identity: Hashable, Sendable {
    var scheme: String
    var id: String

    static let anyone = Identity(scheme: "world", id: "anyone")
}

struct AccessEntry: Hashable, Sendable {
    var permissions: Permissions
    var identity: Identity

    static let open = [AccessEntry(permissions: .all, identity: .anyone)]
    static let readOnly = [AccessEntry(permissions: .read, identity: .anyone)]
}

/// Every access list in use, each once, under a number; most znodes share the open one.
struct AccessTable: Sendable {
    typealias Number = Int32

    /// Everybody may do everything: the number that needs no look.
    static let open: Number = 0

    private var lists: [[AccessEntry]] = [AccessEntry.open]
    private var numbers: [[AccessEntry]: Number] = [AccessEntry.open: 0]

    subscript(number: Number) -> [AccessEntry] {
        let place = Int(number)
        return lists.indices.contains(place) ? lists[place] : []
    }

    mutating func number(of list: [AccessEntry]) -> Number {
        if let number = numbers[list] { return number }
        let number = Number(lists.count)
        lists.append(list)
        numbers[list] = number
        return number
    }

    func permits(_ number: Number, _ wanted: Permissions, to identities: [Identity]) -> Bool {
        if number == Self.open { return true }
        return self[number].contains { entry in
            guard !entry.permissions.isDisjoint(with: wanted) else { return false }
            return entry.identity == .anyone || identities.contains { $0.isMatch(for: entry.identity) }
        }
    }
}

extension Identity {
    /// Whether a connection with this identity is one that the entry means.
    func isMatch(for wanted: Identity) -> Bool {
        guard scheme == wanted.scheme else { return false }
        if scheme == "ip" { return Subnet(wanted.id)?.contains(id) ?? false }
        return id == wanted.id
    }

    /// What `whoAmI` tells: never the proof.
    var publicName: String { scheme == "digest" ? String(id.prefix { $0 != ":" }) : id }

    /// `user:password` proves `digest` `user:base64(sha1(user:password))` (DigestAuthenticationProvider).
    static func digest(proof: [UInt8]) -> Identity? {
        guard let text = String(validating: proof, as: UTF8.self) else { return nil }
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let hash = Array(Insecure.SHA1.hash(data: proof))
        return Identity(scheme: "digest", id: "\(text[..<colon]):\(Base64.encode(hash))")
    }
}

/// `10.0.0.0/8`, or one address.
struct Subnet: Hashable, Sendable {
    private let bytes: [UInt8]
    private let bits: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let bytes = Self.bytes(parts[0]) else { return nil }
        self.bytes = bytes
        if parts.count == 2 {
            guard let bits = Int(parts[1]), (0...bytes.count * 8).contains(bits) else { return nil }
            self.bits = bits
        } else {
            bits = bytes.count * 8
        }
    }

    func contains(_ address: String) -> Bool {
        guard let other = Self.bytes(address[...]), other.count == bytes.count else { return false }
        for bit in 0..<bits {
            let mask = UInt8(0x80) >> UInt8(bit % 8)
            if (other[bit / 8] ^ bytes[bit / 8]) & mask != 0 { return false }
        }
        return true
    }

    /// IPv4 only: the platform listens on no other.
    private static func bytes(_ text: Substring) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let bytes = parts.compactMap { UInt8($0) }
        return parts.count == 4 && bytes.count == 4 ? bytes : nil
    }
}

extension [AccessEntry] {
    /// The list as it is stored: `auth` replaced by whom the client has proved to be, doubles removed
    /// (PrepRequestProcessor.fixupACL).
    func settled(for identities: [Identity]) throws(ErrorCode) -> [AccessEntry] {
        if self == AccessEntry.open { return self }
        var result: [AccessEntry] = []
        func add(_ permissions: Permissions, _ identity: Identity) {
            let entry = AccessEntry(permissions: permissions, identity: identity)
            if !result.contains(entry) { result.append(entry) }
        }
        for entry in self {
            let identity = entry.identity
            switch identity.scheme {
            case "world":
                guard identity.id == "anyone" else { throw .invalidACL }
                add(entry.permissions, identity)
            case "auth":
                let proved = identities.filter { $0.scheme == "digest" }
                guard !proved.isEmpty else { throw .invalidACL }
                for each in proved { add(entry.permissions, each) }
            case "digest":
                guard identity.id.split(separator: ":", omittingEmptySubsequences: false).count == 2 else {
                    throw .invalidACL
                }
                add(entry.permissions, identity)
            case "ip":
                guard Subnet(identity.id) != nil else { throw .invalidACL }
                add(entry.permissions, identity)
            default: throw .invalidACL
            }
        }
        guard !result.isEmpty else { throw .invalidACL }
        return result
    }

    /// The list without the proofs of others.
    var withoutProofs: [AccessEntry] {
        map { entry in
            guard entry.identity.scheme == "digest" else { return entry }
            var entry = entry
            entry.identity.id = entry.identity.publicName + ":x"
            return entry
        }
    }
}
