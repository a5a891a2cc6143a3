// The catalogue's records, and what finds them: by service, by connection, by address.

/// A record's number, never used twice.
typealias RecordNumber = Int

/// A record's place: one writer's word about one address, port and cluster of a service.
struct RecordKey: Hashable, Sendable {
    var origin: Origin
    /// The connection that holds it, or empty. An instance that two connections declare outlives either.
    var holder: String
    var address: String
    var port: Int
    var cluster: String
    /// The record that this one follows from; nil when a writer declared it.
    var cause: RecordNumber?

    init(
        origin: Origin, holder: String = "", address: String, port: Int, cluster: String, cause: RecordNumber? = nil
    ) {
        self.origin = origin
        self.holder = holder
        self.address = address
        self.port = port
        self.cluster = cluster
        self.cause = cause
    }

    init(_ instance: Instance, cause: RecordNumber? = nil) {
        self.init(
            origin: instance.origin, holder: instance.lifetime.holder, address: instance.address, port: instance.port,
            cluster: instance.cluster, cause: cause)
    }
}

struct Record: Sendable {
    let service: ServiceName
    /// The record that this one follows from; nil when a writer declared it.
    let cause: RecordNumber?
    var instance: Instance
    var lastBeat: ContinuousClock.Instant
    /// Later declarations of the same instance win over earlier ones.
    var order: UInt64
    /// The writer's word on its health, which counts again when a silent lease is renewed.
    var isDeclaredHealthy: Bool
    /// When the lease is looked at next; nil when it waits for nothing.
    var nextLook: ContinuousClock.Instant?
    /// The records that follow from this one.
    var consequences: [RecordNumber] = []

    init(
        _ instance: Instance, of service: ServiceName, cause: RecordNumber? = nil, at now: ContinuousClock.Instant,
        order: UInt64
    ) {
        self.service = service
        self.cause = cause
        self.instance = instance
        self.order = order
        lastBeat = now
        isDeclaredHealthy = instance.isHealthy
    }

    var key: RecordKey { RecordKey(instance, cause: cause) }
    /// Put back by another than its writer, who has not come again yet.
    var isAdopted: Bool { cause == nil && instance.lifetime.lease?.isAdopted == true }
    /// A connection's word counts more than a lease, the later one more; another replica's only where there is no
    /// other.
    var rank: (Int, UInt64) {
        (instance.lifetime.isElsewhere ? -1 : instance.lifetime.holder.isEmpty ? 0 : 1, order)
    }
}

/// All records with their indexes. Every change goes through `put` and `remove`.
struct RecordTable: Sendable {
    private var records: [RecordNumber: Record] = [:]
    private var services: [ServiceName: [RecordKey: RecordNumber]] = [:]
    private var holders: [String: Set<RecordNumber>] = [:]
    private var addresses: [String: Set<RecordNumber>] = [:]
    /// Those that wait for their writers to come again, by what these call them.
    private var adopted: [String: Set<RecordNumber>] = [:]
    private var lastNumber: RecordNumber = 0
    private(set) var declared: [Origin: Int] = [:]
    private(set) var leased: [Origin: Int] = [:]
    private(set) var impliedCount = 0
    private(set) var declaredCount = 0

    subscript(_ number: RecordNumber) -> Record? { records[number] }

    func number(_ key: RecordKey, in service: ServiceName) -> RecordNumber? { services[service]?[key] }
    func numbers(of service: ServiceName) -> [RecordNumber] { services[service].map { Array($0.values) } ?? [] }
    func records(of service: ServiceName) -> [Record] { numbers(of: service).compactMap { records[$0] } }
    func numbers(heldBy connection: String) -> [RecordNumber] { holders[connection].map(Array.init) ?? [] }
    /// What a connection holds of a service, found among the fewer of the two.
    func numbers(of service: ServiceName, heldBy connection: String) -> [RecordNumber] {
        let held = holders[connection] ?? []
        let all = services[service] ?? [:]
        if held.count <= all.count { return held.filter { records[$0]?.service == service } }
        return all.values.filter(held.contains)
    }
    func numbers(adopted id: String) -> [RecordNumber] { adopted[id]?.sorted() ?? [] }
    func numbers(at address: String) -> [RecordNumber] { addresses[address].map(Array.init) ?? [] }
    func hasRecords(_ service: ServiceName) -> Bool { services[service] != nil }

    /// Adds a record or, where its key has one, takes that one's place, number and consequences.
    mutating func put(_ record: Record) -> RecordNumber {
        let key = record.key
        guard let number = services[record.service]?[key] else {
            lastNumber += 1
            services[record.service, default: [:]][key] = lastNumber
            records[lastNumber] = record
            count(record, 1)
            index(record, lastNumber)
            return lastNumber
        }
        var successor = record
        if let old = records[number] {
            successor.consequences = old.consequences
            successor.nextLook = old.nextLook
            count(old, -1)
            if old.instance.furtherAddresses != record.instance.furtherAddresses { unindexAddresses(old, number) }
            unindexAdopted(old, number)
        }
        records[number] = successor
        count(successor, 1)
        index(successor, number)
        return number
    }

    /// Changes what is no part of a record's key, its addresses or its lifetime.
    mutating func change(_ number: RecordNumber, _ edit: (inout Record) -> Void) {
        guard let index = records.index(forKey: number) else { return }
        edit(&records.values[index])
    }

    @discardableResult
    mutating func remove(_ number: RecordNumber) -> Record? {
        guard let record = records.removeValue(forKey: number) else { return nil }
        services[record.service]?[record.key] = nil
        if services[record.service]?.isEmpty == true { services[record.service] = nil }
        let holder = record.instance.lifetime.holder
        if !holder.isEmpty {
            holders[holder]?.remove(number)
            if holders[holder]?.isEmpty == true { holders[holder] = nil }
        }
        unindexAddresses(record, number)
        unindexAdopted(record, number)
        count(record, -1)
        return record
    }

    private mutating func index(_ record: Record, _ number: RecordNumber) {
        let holder = record.instance.lifetime.holder
        if !holder.isEmpty { holders[holder, default: []].insert(number) }
        for address in record.instance.addresses { addresses[address, default: []].insert(number) }
        if record.isAdopted { adopted[record.instance.id, default: []].insert(number) }
    }

    private mutating func unindexAdopted(_ record: Record, _ number: RecordNumber) {
        guard record.isAdopted else { return }
        adopted[record.instance.id]?.remove(number)
        if adopted[record.instance.id]?.isEmpty == true { adopted[record.instance.id] = nil }
    }

    private mutating func unindexAddresses(_ record: Record, _ number: RecordNumber) {
        for address in record.instance.addresses {
            addresses[address]?.remove(number)
            if addresses[address]?.isEmpty == true { addresses[address] = nil }
        }
    }

    private mutating func count(_ record: Record, _ step: Int) {
        guard record.cause == nil else {
            impliedCount += step
            return
        }
        declaredCount += step
        declared[record.instance.origin, default: 0] += step
        if record.instance.lifetime.lease != nil { leased[record.instance.origin, default: 0] += step }
    }
}
