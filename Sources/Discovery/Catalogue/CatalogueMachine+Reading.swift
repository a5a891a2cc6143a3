// Snapshots, made when somebody asks, and counts.

extension CatalogueMachine {
    private struct Place: Hashable {
        var address: String
        var port: Int
    }

    /// The services that have instances to show, sorted.
    package var services: [ServiceName] {
        mutating get {
            refreshAll()
            return shown.sorted()
        }
    }

    package mutating func snapshot(of service: ServiceName) -> ServiceSnapshot {
        refresh(service)
        return entries[service]?.snapshot ?? ServiceSnapshot(service: service, version: version, records: [])
    }

    /// The leases of this origin that their writer calls so, and that wait for it to come again (`Lease.adopted`).
    package func adopted(_ id: String, of origin: Origin) -> [(service: ServiceName, instance: Instance)] {
        table.numbers(adopted: id).compactMap { table[$0] }.filter { $0.instance.origin == origin }
            .map { ($0.service, $0.instance) }
    }

    package var counts: CatalogueCounts {
        mutating get {
            refreshAll()
            return CatalogueCounts(
                services: shown.count, declared: table.declared, leased: table.leased, implied: table.impliedCount,
                subscriptions: subscriptions.count)
        }
    }

    mutating func refreshAll() {
        for service in stale { refresh(service) }
    }

    /// Makes a new snapshot when what can be seen has changed, and forgets services that have nothing left.
    mutating func refresh(_ service: ServiceName) {
        guard stale.remove(service) != nil else { return }
        let records = visible(service)
        if let known = entries[service]?.snapshot.records, known == records {
            forgetIfEmpty(service)
            return
        }
        if entries[service] == nil, records.isEmpty { return }
        version += 1
        entries[service] = Entry(snapshot: ServiceSnapshot(service: service, version: version, records: records))
        if records.isEmpty { shown.remove(service) } else { shown.insert(service) }
        subscriptions.moved(service)
        forgetIfEmpty(service)
    }

    mutating func forgetIfEmpty(_ service: ServiceName) {
        if !table.hasRecords(service), !subscriptions.isWatched(service) { entries[service] = nil }
    }

    private func visible(_ service: ServiceName) -> [Instance] {
        var latest: [RecordKey: Record] = [:]
        var implied: [Record] = []
        for record in table.records(of: service) where !isWithdrawn(record.instance) {
            if record.cause != nil {
                implied.append(record)
                continue
            }
            // The same instance declared twice is one: a connection's word counts more than a lease, the later one
            // more.
            var place = record.key
            place.holder = ""
            if let other = latest[place], other.rank > record.rank { continue }
            latest[place] = record
        }
        var result = latest.values.map(\.instance)
        if !implied.isEmpty { result += Self.shown(implied, beside: latest.values) }
        return result.sorted(by: Self.isBefore)
    }

    private func isWithdrawn(_ instance: Instance) -> Bool {
        guard !withdrawn.isEmpty else { return false }
        return withdrawn.contains(instance.address) || instance.furtherAddresses.contains { withdrawn.contains($0) }
    }

    /// What is implied counts only at addresses for which no writer speaks in this service; many interfaces imply the
    /// same application, of which one is shown, as long as one of them takes calls one that does.
    private static func shown(_ implied: [Record], beside declared: some Collection<Record>) -> [Instance] {
        let spokenFor = Set(declared.flatMap(\.instance.addresses))
        var chosen: [Place: Record] = [:]
        for record in implied where !record.instance.addresses.contains(where: spokenFor.contains) {
            let place = Place(address: record.instance.address, port: record.instance.port)
            if let other = chosen[place], !Self.isBetter(record, than: other) { continue }
            chosen[place] = record
        }
        return chosen.values.map(\.instance)
    }

    private static func isBetter(_ record: Record, than other: Record) -> Bool {
        let left = record.instance.takesCalls
        let right = other.instance.takesCalls
        return left == right ? (record.cause ?? 0) < (other.cause ?? 0) : left
    }

    private static func isBefore(_ left: Instance, _ right: Instance) -> Bool {
        if left.address != right.address { return left.address < right.address }
        if left.port != right.port { return left.port < right.port }
        return (left.origin.rawValue, left.cluster) < (right.origin.rawValue, right.cluster)
    }
}
