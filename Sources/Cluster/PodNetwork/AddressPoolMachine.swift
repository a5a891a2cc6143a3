// Which sandbox has which address: the pure half of address management.

import Formats

/// Hands out the addresses of a range, one per sandbox.
///
/// Invariants: no two sandboxes have the same address; the first address of the range is the machine's own; the range's
/// base and its last address are never given; an address that was given back is given again as late as possible.
struct AddressPoolMachine: Equatable {
    enum Assignment: Equatable {
        /// The sandbox had it already.
        case known(IPv4Address)
        case fresh(IPv4Address)
        /// Every address is taken.
        case exhausted
    }

    /// The longest prefix that still leaves an address for a pod.
    static let longestPrefix = 30

    let range: AddressRange
    private(set) var assigned: [String: IPv4Address] = [:]
    private var taken: Set<IPv4Address> = []
    /// Where the last fresh address was found.
    private var cursor: IPv4Address

    /// Needs a range whose prefix is no longer than `longestPrefix`.
    init(range: AddressRange) {
        precondition(range.prefixLength <= Self.longestPrefix, "the range has no address for a pod")
        self.range = range
        cursor = IPv4Address(range.base.value + 1)
    }

    /// The machine's own address towards pods.
    var gateway: IPv4Address { IPv4Address(range.base.value + 1) }

    mutating func assign(to sandbox: String) -> Assignment {
        if let address = assigned[sandbox] { return .known(address) }
        let first = gateway.value + 1
        let count = range.last.value - first
        for step in 1...count {
            let candidate = IPv4Address(first + (cursor.value - gateway.value + step - 1) % count)
            if taken.insert(candidate).inserted {
                assigned[sandbox] = candidate
                cursor = candidate
                return .fresh(candidate)
            }
        }
        return .exhausted
    }

    /// The address that the sandbox had, nil when it had none.
    mutating func release(_ sandbox: String) -> IPv4Address? {
        guard let address = assigned.removeValue(forKey: sandbox) else { return nil }
        taken.remove(address)
        return address
    }
}

/// How the machine's state is kept in a file.
extension AddressPoolMachine {
    var tree: JSON {
        var addresses: [String: String] = [:]
        for (sandbox, address) in assigned { addresses[sandbox] = address.description }
        return [
            "podCIDR": .string(range.description), "lastAssigned": .string(cursor.description),
            "addresses": JSON(stringMap: addresses),
        ]
    }

    /// Nil when the tree is not of this range or says something impossible, like one address twice.
    init?(tree: JSON, range: AddressRange) {
        guard tree["podCIDR"]?.string == range.description else { return nil }
        self.init(range: range)
        for (sandbox, text) in tree["addresses"]?.stringMap ?? [:] {
            guard let address = IPv4Address(text), address > gateway, address < range.last,
                taken.insert(address).inserted
            else { return nil }
            assigned[sandbox] = address
        }
        if let last = tree["lastAssigned"]?.string.flatMap({ IPv4Address($0) }), last > gateway, last < range.last {
            cursor = last
        }
    }
}
