// Records by the Kubernetes DNS specification, and a zone that is kept true service by service.

import Formats
import Fuzzing
import Objects
import Testing

@testable import DNSServer

@Suite struct ZoneTests {
    static let orders = Samples.service(
        "orders",
        [
            "clusterIP": "10.96.0.20", "clusterIPs": ["10.96.0.20", "fd00:96::20"],
            "ports": [["name": "http", "port": 80], ["name": "dns", "port": 53, "protocol": "UDP"], ["port": 99]],
        ])
    static let ordersSlice = Samples.slice(of: "orders", [Samples.endpoint("10.88.0.5")])
    static let pets = Samples.service("pets", ["clusterIP": "None"])
    static let petSlices = [
        Samples.slice(
            of: "pets",
            [
                Samples.endpoint("10.88.0.6", hostname: "rex"), Samples.endpoint("10.88.0.7", ready: nil),
                Samples.endpoint("10.88.0.8", ready: false),
            ]),
        Samples.slice(
            of: "pets", family: "IPv6", [Samples.endpoint("fd00::6", hostname: "rex"), Samples.endpoint("fd00::9")]),
    ]
    static let outside = Samples.service("outside", ["type": "ExternalName", "externalName": "www.example.com"])

    let responder = Responder(
        domain: Samples.domain,
        zone: Samples.zone([(Self.orders, [Self.ordersSlice]), (Self.pets, Self.petSlices), (Self.outside, [])]),
        canForward: true)

    private func answer(_ name: String, _ type: RecordType) throws -> [String] {
        try #require(try responder.ask(Samples.query(name, type))).answerLines.sorted()
    }

    @Test func servicesWithAddresses() throws {
        let name = "orders.shop.svc.cluster.local."
        #expect(try answer(name, .a) == ["\(name) 5 A 10.96.0.20"])
        #expect(try answer(name, .aaaa) == ["\(name) 5 AAAA fd00:96::20"])
        #expect(try answer("_http._tcp." + name, .srv) == ["_http._tcp.\(name) 5 SRV 0 100 80 \(name)"])
        #expect(try answer("_dns._udp." + name, .srv) == ["_dns._udp.\(name) 5 SRV 0 100 53 \(name)"])
        #expect(try answer("20.0.96.10.in-addr.arpa", .ptr) == ["20.0.96.10.in-addr.arpa. 5 PTR \(name)"])
        let reverse = try #require(IPAddress("fd00:96::20")?.reverse)
        #expect(reverse.description.hasPrefix("0.2.0.0.0.0") && reverse.description.hasSuffix("0.d.f.ip6.arpa."))
        #expect(try answer(reverse.description, .ptr) == ["\(reverse) 5 PTR \(name)"])
        #expect(try answer("10-88-0-5." + name, .a) == ["10-88-0-5.\(name) 5 A 10.88.0.5"])
    }

    @Test func headlessServices() throws {
        let name = "pets.shop.svc.cluster.local."
        #expect(try answer(name, .a) == ["\(name) 5 A 10.88.0.6", "\(name) 5 A 10.88.0.7"])
        #expect(try answer(name, .aaaa) == ["\(name) 5 AAAA fd00::6", "\(name) 5 AAAA fd00::9"])
        #expect(try answer("rex." + name, .a) == ["rex.\(name) 5 A 10.88.0.6"])
        #expect(try answer("rex." + name, .aaaa) == ["rex.\(name) 5 AAAA fd00::6"])
        #expect(try answer("fd00--9." + name, .aaaa) == ["fd00--9.\(name) 5 AAAA fd00::9"])
        let ports = try answer("_http._tcp." + name, .srv)
        #expect(ports == ["10-88-0-7", "fd00--9", "rex"].map { "_http._tcp.\(name) 5 SRV 0 25 8080 \($0).\(name)" })
        #expect(try answer("6.0.88.10.in-addr.arpa", .ptr) == ["6.0.88.10.in-addr.arpa. 5 PTR rex.\(name)"])
    }

    @Test func targetsComeAlong() throws {
        let query = Samples.query("_http._tcp.pets.shop.svc.cluster.local", .srv)
        for rotation in 0..<4 {
            let message = try #require(try responder.ask(query, rotation: rotation))
            let name = "pets.shop.svc.cluster.local."
            #expect(
                Set(message.lines(message.additionals)) == [
                    "rex.\(name) 5 A 10.88.0.6", "rex.\(name) 5 AAAA fd00::6", "10-88-0-7.\(name) 5 A 10.88.0.7",
                    "fd00--9.\(name) 5 AAAA fd00::9",
                ])
        }
    }

    @Test func headlessWithoutReadyEndpointsIsNoName() throws {
        let notReady = Samples.slice(of: "pets", [Samples.endpoint("10.88.0.8", ready: false)])
        var machine = Samples.machine()
        machine.changed(Self.pets.key, to: Self.pets, slices: [notReady])
        var responder = Responder(domain: Samples.domain, zone: machine.zone(), canForward: false)
        #expect(try responder.ask(Samples.query("pets.shop.svc.cluster.local"))?.code == .noSuchName)

        var eager = Self.pets
        eager.spec["publishNotReadyAddresses"] = true
        machine.changed(eager.key, to: eager, slices: [notReady])
        responder.zone = machine.zone()
        #expect(try responder.ask(Samples.query("pets.shop.svc.cluster.local"))?.answers.count == 1)
    }

    @Test func podsSayTheirAddress() throws {
        #expect(try answer("10-88-0-9.shop.pod.cluster.local", .a).first?.hasSuffix("A 10.88.0.9") == true)
        #expect(try answer("fd00--9.shop.pod.cluster.local", .aaaa).first?.hasSuffix("AAAA fd00::9") == true)
        for wrong in [
            "10-88-0.shop.pod.cluster.local", "web.shop.pod.cluster.local", "a.10-88-0-9.shop.pod.cluster.local",
        ] {
            #expect(try responder.ask(Samples.query(wrong))?.code == .noSuchName, "\(wrong)")
        }
    }

    @Test func theDomainItself() throws {
        #expect(try answer("dns-version.cluster.local", .txt) == ["dns-version.cluster.local. 5 TXT 1.1.0"])
        #expect(try answer("ns.dns.cluster.local", .a) == ["ns.dns.cluster.local. 5 A 10.96.0.10"])
        #expect(try answer("cluster.local", .soa).count == 1)
        #expect(try answer("cluster.local", .ns) == ["cluster.local. 5 NS ns.dns.cluster.local."])
    }

    @Test func namesBetweenExistAsLongAsThereIsOneBelow() throws {
        var machine = Samples.machine()
        func code(_ name: String) throws -> ResponseCode? {
            try Responder(domain: Samples.domain, zone: machine.zone(), canForward: false).ask(Samples.query(name))?
                .code
        }
        #expect(try code("svc.cluster.local") == .success)
        #expect(try code("shop.svc.cluster.local") == .noSuchName)
        machine.changed(Self.orders.key, to: Self.orders, slices: [])
        machine.changed(Self.pets.key, to: Self.pets, slices: Self.petSlices)
        #expect(try code("shop.svc.cluster.local") == .success)
        #expect(try code("_tcp.orders.shop.svc.cluster.local") == .success)
        machine.changed(Self.orders.key, to: nil, slices: [])
        #expect(try code("_tcp.orders.shop.svc.cluster.local") == .noSuchName)
        #expect(try code("orders.shop.svc.cluster.local") == .noSuchName)
        #expect(try code("shop.svc.cluster.local") == .success)
        machine.changed(Self.pets.key, to: nil, slices: [])
        #expect(try code("shop.svc.cluster.local") == .noSuchName)
        #expect(try code("svc.cluster.local") == .success)
    }

    @Test func anAddressOfTwoServicesKeepsTheNameThatIsLeft() throws {
        let other = Samples.service("shelter", ["clusterIP": "None"])
        let slices = [Samples.slice(of: "shelter", [Samples.endpoint("10.88.0.6")])]
        var machine = Samples.machine()
        machine.changed(Self.pets.key, to: Self.pets, slices: Self.petSlices)
        machine.changed(other.key, to: other, slices: slices)
        func names() throws -> [String] {
            try #require(
                try Responder(domain: Samples.domain, zone: machine.zone(), canForward: true)
                    .ask(Samples.query("6.0.88.10.in-addr.arpa", .ptr))
            ).answerLines
        }
        #expect(try names().count == 2)
        machine.changed(Self.pets.key, to: nil, slices: [])
        #expect(try names() == ["6.0.88.10.in-addr.arpa. 5 PTR 10-88-0-6.shelter.shop.svc.cluster.local."])
    }

    /// A storm of changes ends in the same zone as building it at once, and leaves nothing behind.
    @Test func changesInAnyOrderGiveTheZoneOfTheirEnd() throws {
        var generator = SeededGenerator(seed: 42)
        var machine = Samples.machine()
        let empty = machine.zone().nameCount
        var last: [ObjectKey: (Object, [Object])] = [:]
        for _ in 0..<2000 {
            let service = Samples.service(
                "s\(Int.random(in: 0..<8, using: &generator))", in: "n\(Int.random(in: 0..<3, using: &generator))",
                Bool.random(using: &generator)
                    ? ["clusterIP": "None"] : ["clusterIP": "10.96.1.1", "ports": [["name": "a", "port": 1]]])
            if Int.random(in: 0..<4, using: &generator) == 0 {
                last[service.key] = nil
                machine.changed(service.key, to: nil, slices: [])
                continue
            }
            let endpoints = (0..<Int.random(in: 0..<4, using: &generator)).map {
                Samples.endpoint("10.88.0.\($0)", ready: Bool.random(using: &generator))
            }
            last[service.key] = (service, [Samples.slice(of: service.name, in: service.namespace, endpoints)])
            machine.changed(service.key, to: service, slices: last[service.key]?.1 ?? [])
            if Int.random(in: 0..<9, using: &generator) == 0 { _ = machine.zone() }
        }
        let made = machine.zone()
        let fresh = Samples.zone(last.values.map { ($0.0, $0.1) })
        #expect(made.nameCount == fresh.nameCount)
        for namespace in 0..<3 {
            for name in 0..<8 {
                let wire = DomainName("s\(name).n\(namespace).svc.cluster.local")!.wire
                #expect(made.find(wire[...])?.sets.map(\.count) == fresh.find(wire[...])?.sets.map(\.count))
            }
        }
        for key in last.keys { machine.changed(key, to: nil, slices: []) }
        #expect(machine.zone().nameCount == empty)
    }

    @Test func theSerialGoesUpOnlyWithChanges() throws {
        var machine = Samples.machine(serial: 100)
        func serial() throws -> UInt32? {
            let wire = Samples.domain.wire
            guard let set = machine.zone().find(wire[...])?.set(.soa) else { return nil }
            return set.body(0).suffix(20).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        #expect(try serial() == 101)
        #expect(try serial() == 101)
        machine.changed(Self.orders.key, to: Self.orders, slices: [])
        #expect(try serial() == 102)
        machine.changed(Self.orders.key, to: Self.orders, slices: [])
        #expect(try serial() == 102)
    }

    /// Registries export their instances as Services and slices of their own; to DNS they are services like any other.
    @Test func servicesOfAnyOrigin() throws {
        var service = Samples.service(
            "payments", ["clusterIP": "10.96.0.30", "ports": [["name": "http", "port": 80]]])
        service.labels = ["mangrove.dev/origin": "nacos"]
        service.annotations = ["mangrove.dev/name": "providers:com.acme.Payments:1.0.0:"]
        var slice = Samples.slice(of: "payments", [Samples.endpoint("192.0.2.44")])
        slice.labels["endpointslice.kubernetes.io/managed-by"] = "registry-sync.mangrove.dev"
        let responder = Responder(domain: Samples.domain, zone: Samples.zone([(service, [slice])]), canForward: false)
        let name = "payments.shop.svc.cluster.local."
        #expect(try responder.ask(Samples.query(name))?.answerLines == ["\(name) 5 A 10.96.0.30"])
        #expect(
            try responder.ask(Samples.query("192-0-2-44." + name))?.answerLines == ["192-0-2-44.\(name) 5 A 192.0.2.44"]
        )
        #expect(try responder.ask(Samples.query("44.2.0.192.in-addr.arpa", .ptr))?.answers.count == 1)
    }
}
