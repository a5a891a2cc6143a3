// Which service addresses and node ports are taken.

/// Hands out cluster IPs and node ports; pure, the caller brings the randomness.
struct ServiceAddressMachine: Sendable {
    /// 10.96.0.0/12.
    static let firstAddress: UInt32 = 10 << 24 | 96 << 16
    static let addressCount: UInt32 = 1 << 20
    /// Random choice leaves the lower part of the range to people who choose their own (upstream: at most 256
    /// addresses).
    static let chosenByHand: UInt32 = 256
    static let nodePorts = 30000...32767

    /// 10.96.0.1 is the API server, 10.96.0.10 the DNS server.
    static let apiServer = "10.96.0.1"
    static let dns = "10.96.0.10"

    private var addresses: Set<UInt32> = []
    private var ports: Set<Int> = []

    init() {}

    enum Refusal: Error, Hashable { case taken, outOfRange, exhausted }

    /// Takes this address; the two reserved ones can be taken only by those who name them.
    mutating func take(address: String) throws(Refusal) {
        guard let number = Self.number(address), number > Self.firstAddress,
            number < Self.firstAddress + Self.addressCount - 1
        else { throw .outOfRange }
        guard addresses.insert(number).inserted else { throw .taken }
    }

    /// Takes a free address, searching upwards from a random one.
    mutating func takeAddress(random: UInt32) throws(Refusal) -> String {
        let span = Self.addressCount - Self.chosenByHand - 1
        for step in 0..<span {
            let number = Self.firstAddress + Self.chosenByHand + (random % span + step) % span
            if addresses.insert(number).inserted { return Self.text(number) }
        }
        throw .exhausted
    }

    mutating func release(address: String) {
        if let number = Self.number(address) { addresses.remove(number) }
    }

    mutating func take(port: Int) throws(Refusal) {
        guard Self.nodePorts.contains(port) else { throw .outOfRange }
        guard ports.insert(port).inserted else { throw .taken }
    }

    mutating func takePort(random: UInt32) throws(Refusal) -> Int {
        let span = Self.nodePorts.count
        for step in 0..<span {
            let port = Self.nodePorts.lowerBound + (Int(random) + step) % span
            if ports.insert(port).inserted { return port }
        }
        throw .exhausted
    }

    mutating func release(port: Int) { ports.remove(port) }

    static func number(_ address: String) -> UInt32? {
        let parts = address.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var number: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(part) else { return nil }
            number = number << 8 | UInt32(byte)
        }
        return number
    }

    static func text(_ number: UInt32) -> String {
        [24, 16, 8, 0].map { String(number >> UInt32($0) & 255) }.joined(separator: ".")
    }
}
