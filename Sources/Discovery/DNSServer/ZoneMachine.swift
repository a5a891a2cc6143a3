// Keeps the zone true one service at a time: a change costs that service's records, however many others there are.

import Objects

/// The zone in the making. Services go in as they change; `zone()` gives what all of them are together.
struct ZoneMachine: Sendable {
    private struct Name: Sendable {
        /// In the order in which they came; the same record may come from several services.
        var records: [(data: RecordData, count: Int)] = []
        /// Names directly below that exist.
        var children = 0

        var exists: Bool { !records.isEmpty || children > 0 }
    }

    let domain: DomainName
    private var serial: UInt32
    private var services: [ObjectKey: [NamedRecord]] = [:]
    private var names: [[UInt8]: Name] = [:]
    private var changed: Set<[UInt8]> = []
    private var table: NameTable
    private var made: Zone?

    /// `serial` is where the zone's serial numbers go on from; `serverAddresses` are the server's own.
    init(domain: DomainName, serverAddresses: [IPAddress], serial: UInt32, seed: UInt64) {
        self.domain = domain
        self.serial = serial
        table = NameTable(seed: seed)
        let server = Zone.server(of: domain)
        add(.ns(server), at: domain.folded)
        for address in serverAddresses { add(.address(address), at: server.folded) }
        if let name = domain.prefixed("dns-version") {
            add(.txt([Array(Zone.specificationVersion.utf8)]), at: name.folded)
        }
        // These exist before there is anything below them.
        for branch in ["svc", "pod"] { if let name = domain.prefixed(branch) { childAppeared(below: name.folded) } }
    }

    /// A service changed, or one of its slices did. Nil when it is gone.
    mutating func changed(_ key: ObjectKey, to service: Object?, slices: [Object]) {
        let records = service.map { ServiceRecords.of($0, slices: slices, domain: domain) } ?? []
        let before = services.updateValue(records, forKey: key) ?? []
        if records.isEmpty { services[key] = nil }
        guard records != before else { return }
        // Added first: a name that stays does not go in between.
        for record in records { add(record.data, at: record.name) }
        for record in before { remove(record.data, at: record.name) }
    }

    /// The zone as it is now. The same value while nothing has changed.
    mutating func zone() -> Zone {
        if let made, changed.isEmpty { return made }
        serial &+= 1
        changed.insert(domain.folded)
        let startOfAuthority = Zone.startOfAuthority(of: domain, serial: serial)
        made = nil
        for name in changed {
            guard let state = names[name] else {
                table.set(nil, at: name)
                continue
            }
            var records = state.records.map(\.data)
            if name == domain.folded { records.append(startOfAuthority) }
            table.set(ZoneNode(name: name, records: records, timeToLiveSeconds: Zone.timeToLiveSeconds), at: name)
        }
        changed = []
        let zone = Zone(domain: domain, serial: serial, table: table)
        made = zone
        return zone
    }

    private mutating func add(_ data: RecordData, at name: [UInt8]) {
        let existed = names[name]?.exists ?? false
        if let index = names[name]?.records.firstIndex(where: { $0.data == data }) {
            names[name]?.records[index].count += 1
            return
        }
        names[name, default: Name()].records.append((data, 1))
        changed.insert(name)
        if !existed { appeared(name) }
    }

    private mutating func remove(_ data: RecordData, at name: [UInt8]) {
        guard let index = names[name]?.records.firstIndex(where: { $0.data == data }) else { return }
        names[name]?.records[index].count -= 1
        guard names[name]?.records[index].count == 0 else { return }
        names[name]?.records.remove(at: index)
        changed.insert(name)
        if names[name]?.exists == false { disappeared(name) }
    }

    /// A name came to be, so the one above it has one more below. Names outside the domain have no such others.
    private mutating func appeared(_ name: [UInt8]) {
        if let above = above(name) { childAppeared(below: above) }
    }

    private mutating func childAppeared(below name: [UInt8]) {
        let existed = names[name]?.exists ?? false
        names[name, default: Name()].children += 1
        guard !existed else { return }
        changed.insert(name)
        appeared(name)
    }

    private mutating func disappeared(_ name: [UInt8]) {
        names[name] = nil
        changed.insert(name)
        guard let above = above(name) else { return }
        names[above]?.children -= 1
        if names[above]?.exists == false { disappeared(above) }
    }

    private func above(_ name: [UInt8]) -> [UInt8]? {
        guard name.count > domain.wire.count, DomainName.ends(name[...], with: domain.wire) else { return nil }
        return Array(name[(1 + Int(name[0]))...])
    }
}
