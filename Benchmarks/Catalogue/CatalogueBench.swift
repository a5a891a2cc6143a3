// Measures the catalogue in process: registrations, beats, memory, and how soon subscribers see a storm of changes.

import Catalogue
import Frameworks
import Glibc

/// The load that the product promises to carry.
enum Load {
    static let services = 5_000
    static let instancesPerService = 20
    static let connections = 1_000
    static let subscribers = 1_000
    static let servicesPerSubscriber = 20
    static let changesPerSecond = 1_000
    static let stormSeconds = 5
    static let beats = 300_000
    static let providers = 20_000
    static var instances: Int { services * instancesPerService }
}

func residentBytes() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var text = ""
    while case let byte = fgetc(file), byte != EOF { text.unicodeScalars.append(Unicode.Scalar(UInt8(byte))) }
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
}

func row(_ name: String, _ figure: String, _ note: String = "") {
    let pad = String(repeating: " ", count: max(1, 44 - name.count))
    print("\(name)\(pad)\(figure)\(note.isEmpty ? "" : "   (\(note))")")
}

func rate(_ count: Int, _ duration: Duration) -> String {
    "\(Int(Double(count) / (duration / .seconds(1))))/s"
}

func milliseconds(_ duration: Duration) -> String {
    let tenths = Int((duration / .milliseconds(1)) * 10)
    return "\(tenths / 10).\(tenths % 10) ms"
}

func service(_ number: Int) -> ServiceName { ServiceName(name: "service-\(number)") }

func instance(_ number: Int, weight: Double = 1, lifetime: Lifetime) -> Instance {
    Instance(
        address: "10.\(number >> 16).\((number >> 8) & 255).\(number & 255)", port: 8080, weight: weight,
        metadata: [
            "preserved.register.source": "SPRING_CLOUD", "zone": "zone-\(number % 3)", "version": "1.\(number % 10)",
            "management.port": "9090", "startup": "17000000\(number)",
        ], lifetime: lifetime, origin: .nacos)
}

let clock = ContinuousClock()

var limits: CatalogueLimits {
    var limits = CatalogueLimits()
    limits.records = 2 * Load.instances
    return limits
}

func fill(_ catalogue: ServiceCatalogue) throws {
    let before = residentBytes()
    let duration = try clock.measure {
        for number in 0..<Load.instances {
            let holder = Lifetime.connection("connection-\(number % Load.connections)")
            try catalogue.register(instance(number, lifetime: holder), as: service(number % Load.services))
        }
    }
    row("registrations", rate(Load.instances, duration), "\(Load.instances) instances, \(Load.services) services")
    let reading = clock.measure {
        for number in 0..<Load.services { _ = catalogue.snapshot(of: service(number)) }
    }
    row("first reading of every service", milliseconds(reading))
    row(
        "memory for an instance", "\((residentBytes() - before) / Load.instances) B",
        "5 pairs of metadata, snapshots made")
}

func beat() throws {
    let catalogue = ServiceCatalogue(sources: [], limits: limits)
    for number in 0..<Load.instances {
        try catalogue.register(instance(number, lifetime: .lease(Lease())), as: service(number % Load.services))
    }
    let duration = clock.measure {
        for beat in 0..<Load.beats {
            let number = beat % Load.instances
            let address = "10.\(number >> 16).\((number >> 8) & 255).\(number & 255)"
            _ = catalogue.renew(address: address, port: 8080, of: .nacos, for: service(number % Load.services))
        }
    }
    row("beats", rate(Load.beats, duration))
    let sweeping = clock.measure { catalogue.sweep() }
    row("one look through the leases, none due", milliseconds(sweeping))
}

func cross() throws {
    let catalogue = ServiceCatalogue(sources: [], limits: limits)
    let duration = try clock.measure {
        for number in 0..<Load.providers {
            let interface = DubboInterface(name: "com.acme.Service\(number % 100)", version: "1.0.0")
            let application = "application-\(number % 50)"
            let metadata = [
                "application": application, "interface": interface.name, "version": "1.0.0", "side": "provider",
            ]
            var provider = instance(number / 100, lifetime: .connection("session-\(number / 100)"))
            provider.metadata = metadata
            provider.origin = .zookeeper
            try catalogue.register(provider, as: ServiceName(name: interface.nacosName()))
        }
    }
    row("registrations of Dubbo interfaces", rate(Load.providers, duration), "each implies its application")
    let ending = clock.measure {
        for session in 0..<(Load.providers / 100) { catalogue.connectionClosed("session-\(session)") }
    }
    row("ends of sessions with 100 interfaces", rate(Load.providers / 100, ending))
}

/// Changes come at a fixed rate while one reader hands them to every subscriber, as an interface's server does.
func storm(_ catalogue: ServiceCatalogue) async throws {
    for number in 0..<Load.subscribers {
        for offset in 0..<Load.servicesPerSubscriber {
            let name = service((number * Load.servicesPerSubscriber + offset) % Load.services)
            _ = try catalogue.subscribe(SubscriberID("subscriber-\(number)"), to: name)
        }
    }
    row("subscriptions", "\(catalogue.counts.subscriptions)")
    let feed = catalogue.changes(coalescedOver: .milliseconds(20))
    let total = Load.changesPerSecond * Load.stormSeconds
    let start = clock.now
    let reader = Task {
        var delays: [Duration] = []
        var told = 0
        while let changes = await feed.next() {
            guard case .names(let names) = changes else { continue }
            for name in names {
                for subscriber in catalogue.subscribers(of: name) {
                    guard let snapshot = catalogue.tell(subscriber, of: name) else { continue }
                    told += 1
                    // The newest change's time is in its metadata.
                    let sent = snapshot.instances.compactMap { $0.metadata["sent"].flatMap { Int64($0) } }.max() ?? 0
                    if sent > 0 { delays.append(start.duration(to: clock.now) - .nanoseconds(sent)) }
                    catalogue.acknowledge(subscriber, name, version: snapshot.version)
                }
            }
        }
        return (delays.sorted(), told)
    }
    var slowest = Duration.zero
    for change in 0..<total {
        let due = start + .nanoseconds(Int64(change) * 1_000_000_000 / Int64(Load.changesPerSecond))
        if clock.now < due { try await clock.sleep(until: due, tolerance: .zero) }
        let number = change * 7 % Load.instances
        var changed = instance(
            number, weight: Double(change), lifetime: .connection("connection-\(number % Load.connections)"))
        let (seconds, attoseconds) = start.duration(to: clock.now).components
        changed.metadata["sent"] = "\(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)"
        let taken = try clock.measure { try catalogue.register(changed, as: service(number % Load.services)) }
        slowest = max(slowest, taken)
    }
    try await clock.sleep(for: .milliseconds(200))
    reader.cancel()
    let (delays, told) = await reader.value
    guard !delays.isEmpty else { return row("storm", "nobody was told anything") }
    row("storm: told", "\(told)", "\(total) changes at \(Load.changesPerSecond)/s, window 20 ms")
    row("storm: from change to snapshot, p50", milliseconds(delays[delays.count / 2]))
    row("storm: from change to snapshot, p99", milliseconds(delays[delays.count * 99 / 100]))
    row("storm: slowest registration", milliseconds(slowest))
}

@main enum CatalogueBench {
    static func main() async throws {
        let catalogue = ServiceCatalogue(sources: [], limits: limits)
        try fill(catalogue)
        try await storm(catalogue)
        try beat()
        try cross()
    }
}
