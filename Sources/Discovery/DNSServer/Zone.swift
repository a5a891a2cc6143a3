// The records of a cluster at one moment, made to be asked.

/// All names of the cluster domain and the reverse names of its addresses. A value: who holds one sees no change.
struct Zone: Sendable {
    static let specificationVersion = "1.1.0"
    static let timeToLiveSeconds: UInt32 = 5

    let domain: DomainName
    /// The domain's start of authority, after its owner.
    let startOfAuthority: [UInt8]
    private let table: NameTable
    /// `pod.cluster.local`.
    private let pods: DomainName

    init(domain: DomainName, serial: UInt32, table: NameTable) {
        self.domain = domain
        pods = domain.prefixed("pod") ?? domain
        startOfAuthority = MessageWriter.body(
            of: Self.startOfAuthority(of: domain, serial: serial), timeToLiveSeconds: Self.timeToLiveSeconds)
        self.table = table
    }

    static func startOfAuthority(of domain: DomainName, serial: UInt32) -> RecordData {
        .soa(
            RecordData.StartOfAuthority(
                server: server(of: domain), mailbox: domain.prefixed("hostmaster") ?? domain, serial: serial,
                refreshSeconds: 7200, retrySeconds: 1800, expireSeconds: 86400, negativeSeconds: timeToLiveSeconds))
    }

    static func server(of domain: DomainName) -> DomainName { domain.prefixed("ns", "dns") ?? domain }

    var nameCount: Int { table.count }

    /// Everything at a whole name; nil when there is no such name.
    func find(_ name: ArraySlice<UInt8>) -> ZoneNode? { table.find(name) ?? podNode(name) }

    /// `10-88-0-5.shop.pod.cluster.local` says its own address; as with CoreDNS's default, whether there is such a pod
    /// is not asked.
    private func podNode(_ name: ArraySlice<UInt8>) -> ZoneNode? {
        guard DomainName.ends(name, with: pods.wire), let first = name.first, first > 0 else { return nil }
        let second = name.startIndex + 1 + Int(first)
        let rest = second + 1 + Int(name[second])
        guard second < rest, name.endIndex - rest == pods.wire.count,
            let address = IPAddress(dashed: name[(name.startIndex + 1)..<second])
        else { return nil }
        return ZoneNode(name: [], records: [.address(address)], timeToLiveSeconds: Self.timeToLiveSeconds)
    }
}
