// Random histories of the catalogue beside a model that recomputes everything from a plain list of what was said.

import Frameworks
import Fuzzing
import Testing

@testable import Catalogue

/// What a history is made by; a failure names its seed.
extension SeededGenerator {

    fileprivate mutating func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &self) }
    fileprivate mutating func pick<T>(_ list: [T]) -> T { list[roll(list.count)] }
}

/// What writers said and have not taken back.
private struct Model {
    struct Fact {
        var service: ServiceName
        var instance: Instance
        var order: Int
        var declaredHealthy: Bool
        var lastBeat: ContinuousClock.Instant
    }

    var facts: [Fact] = []
    var withdrawn: Set<String> = []
    var table = InterfaceTable()
    var order = 0

    mutating func say(_ instance: Instance, as service: ServiceName, at now: ContinuousClock.Instant) {
        order += 1
        var key = RecordKey(instance)
        facts.removeAll { $0.service == service && RecordKey($0.instance) == key }
        if !key.holder.isEmpty {
            key.holder = ""
            facts.removeAll { $0.service == service && RecordKey($0.instance) == key }
        }
        facts.append(
            Fact(
                service: service, instance: instance, order: order, declaredHealthy: instance.isHealthy, lastBeat: now))
    }

    mutating func pass(to now: ContinuousClock.Instant) {
        facts.removeAll { fact in
            guard let lease = fact.instance.lifetime.lease else { return false }
            return fact.lastBeat.duration(to: now) >= .milliseconds(lease.removedAfterMilliseconds)
        }
        for index in facts.indices {
            guard let lease = facts[index].instance.lifetime.lease else { continue }
            if lease.unhealthyAfterMilliseconds < lease.removedAfterMilliseconds,
                facts[index].lastBeat.duration(to: now) >= .milliseconds(lease.unhealthyAfterMilliseconds)
            {
                facts[index].instance.isHealthy = false
            }
        }
    }

    /// What is to be seen: the declared records, and the places that are implied with whether they take calls.
    func seen(_ service: ServiceName) -> (declared: Set<Instance>, implied: Set<String>) {
        func isHidden(_ instance: Instance) -> Bool { instance.addresses.contains(where: withdrawn.contains) }
        var latest: [RecordKey: Fact] = [:]
        for fact in facts where fact.service == service && !isHidden(fact.instance) {
            var place = RecordKey(fact.instance)
            let isHeld = !place.holder.isEmpty
            place.holder = ""
            if let other = latest[place] {
                let otherIsHeld = !other.instance.lifetime.holder.isEmpty
                if otherIsHeld && !isHeld || otherIsHeld == isHeld && other.order > fact.order { continue }
            }
            latest[place] = fact
        }
        let declared = Set(latest.values.map(\.instance))
        let spokenFor = Set(declared.flatMap(\.addresses))
        var implied: [String: Bool] = [:]
        for fact in facts {
            for (target, instance) in Crossing.consequences(of: fact.instance, in: fact.service, table)
            where target == service && !isHidden(instance) && spokenFor.isDisjoint(with: instance.addresses) {
                let place = "\(instance.address):\(instance.port)"
                implied[place] = implied[place] == true || instance.takesCalls
            }
        }
        return (declared, Set(implied.map { "\($0.key) \($0.value)" }))
    }
}

@Suite struct SimulationTests {
    @Test(arguments: 1...8) func historiesAreAsTheModelSays(seed: Int) throws {
        var history = History(seed: UInt64(seed))
        for step in 1...240 {
            try history.step()
            if step % 4 == 0 { history.check() }
        }
        try history.restart()
        for step in 1...60 {
            try history.step()
            if step % 4 == 0 { history.check() }
        }
        #expect(history.sights.implied > 0 && history.sights.unhealthy > 0 && history.sights.outstanding > 0)
    }
}

private struct History {
    let seed: UInt64
    var dice: SeededGenerator
    var machine = CatalogueMachine(sources: [], firstVersion: 1_000)
    var model = Model()
    var now = ContinuousClock.now
    /// Every snapshot handed out, by service: invariant 4.
    var newest: [ServiceName: ServiceSnapshot] = [:]
    /// The views that each subscriber may use, oldest first: invariant 8.
    var views: [SubscriberID: [ServiceName: [ServiceSnapshot]]] = [:]
    var starts: UInt64 = 1
    /// What has been seen at all; a history without it would prove nothing.
    var sights = (implied: 0, unhealthy: 0, outstanding: 0)

    let services = ["shop", "store", "providers:com.acme.A::", "providers:com.acme.B:1.0:", "com.acme.S:DEFAULT"]
        .map { ServiceName(name: $0) }
    let addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "127.0.0.1"]
    let connections = ["c1", "c2", "c3"]
    let consumers = (1...3).map { SubscriberID("nacos/\($0)") }

    init(seed: UInt64) {
        self.seed = seed
        dice = SeededGenerator(seed: seed)
    }

    private mutating func instance(_ service: ServiceName) -> Instance {
        let origin = dice.pick([Origin.nacos, .eureka, .zookeeper, .kubernetes])
        let lifetime: Lifetime =
            origin == .kubernetes
            ? .kubernetes
            : dice.pick([
                .connection(dice.pick(connections)), .connection(dice.pick(connections)), .lease(Lease()),
                .lease(.eureka()), .persistent,
            ])
        var metadata = ["writer": "\(dice.roll(100))"]
        if service.name.contains(":") {
            metadata["application"] = dice.pick(["shop", "store"])
            metadata["appName"] = metadata["application"]
        } else if dice.roll(2) == 0 {
            metadata[DeclaredInterface.dubboKey] = "com.acme.A,com.acme.B:1.0@9000"
        } else {
            metadata["dubbo.endpoints"] = #"[{"port":20880,"protocol":"dubbo"}]"#
        }
        return Instance(
            address: dice.pick(addresses), port: dice.pick([80, 81]), weight: dice.pick([0, 1, 2]),
            isHealthy: dice.roll(5) > 0, metadata: metadata, lifetime: lifetime, origin: origin)
    }

    mutating func step() throws {
        let service = dice.pick(services)
        switch dice.roll(14) {
        case 0...4:
            let instance = instance(service)
            try machine.registered(instance, as: service, now: now)
            model.say(instance, as: service, at: now)
        case 5:
            let connection = dice.pick(connections)
            machine.connectionClosed(connection, subscriber: nil)
            model.facts.removeAll { $0.instance.lifetime.holder == connection }
        case 6: deregister(service)
        case 7: beat(service)
        case 8:
            now += .seconds(dice.pick([1, 7, 16]))
            machine.timePassed(now: now)
            model.pass(to: now)
        case 9: replaceKubernetes(service)
        case 10: withdrawOrLift()
        case 11: try mapping()
        case 12: try subscribeOrAcknowledge(service)
        default: tell()
        }
    }

    private mutating func deregister(_ service: ServiceName) {
        guard let fact = model.facts.filter({ $0.service == service }).randomElement(using: &dice) else { return }
        let key = RecordKey(fact.instance)
        if key.holder.isEmpty {
            machine.deregistered(
                address: key.address, port: key.port, cluster: key.cluster, of: key.origin, from: service)
            model.facts.removeAll { $0.service == service && RecordKey($0.instance) == key }
        } else {
            machine.deregistered(heldBy: key.holder, from: service)
            model.facts.removeAll { $0.service == service && $0.instance.lifetime.holder == key.holder }
        }
    }

    private mutating func beat(_ service: ServiceName) {
        let leased = model.facts.indices.filter { model.facts[$0].instance.lifetime.lease != nil }
        guard let index = leased.randomElement(using: &dice) else { return }
        let fact = model.facts[index]
        let isKnown = machine.beaten(
            address: fact.instance.address, port: fact.instance.port, cluster: fact.instance.cluster,
            of: fact.instance.origin, for: fact.service, now: now)
        let isAdopted = fact.instance.lifetime.lease?.isAdopted == true
        #expect(isKnown == !isAdopted, "seed \(seed)")
        guard !isAdopted else { return }
        model.facts[index].lastBeat = now
        model.facts[index].instance.isHealthy = fact.instance.origin == .nacos || fact.declaredHealthy
    }

    private mutating func replaceKubernetes(_ service: ServiceName) {
        let instances = (0..<dice.roll(4)).map { _ in instance(service) }.filter { $0.origin == .kubernetes }
        machine.replaced(instances, of: .kubernetes, as: service, now: now)
        let keys = Set(instances.map { RecordKey($0) })
        model.facts.removeAll { fact in
            fact.service == service && fact.instance.origin == .kubernetes && !keys.contains(RecordKey(fact.instance))
        }
        for instance in instances { model.say(instance, as: service, at: now) }
    }

    private mutating func withdrawOrLift() {
        let address = dice.pick(addresses)
        if model.withdrawn.contains(address) {
            machine.withdrawalLifted(address: address)
            model.withdrawn.remove(address)
            model.facts.removeAll { $0.instance.address == address && $0.instance.origin != .kubernetes }
        } else {
            machine.withdrew(address: address)
            model.withdrawn.insert(address)
        }
    }

    private mutating func mapping() throws {
        let interface = dice.pick(["com.acme.A", "com.acme.C"])
        let key = ServiceName.mapping(of: interface)
        if dice.roll(3) == 0 {
            try machine.unmapped(interface, in: "default", when: .always)
            _ = model.table.set(nil, for: key)
        } else {
            let row = try machine.mapped(
                interface, to: dice.pick(["shop", "shop,store"]), in: "default", when: .always)
            _ = model.table.set(row, for: key)
        }
    }

    // MARK: Subscribers

    private mutating func subscribeOrAcknowledge(_ service: ServiceName) throws {
        let consumer = dice.pick(consumers)
        guard var told = views[consumer]?[service] else {
            views[consumer, default: [:]][service] = [try machine.subscribed(consumer, to: service)]
            return
        }
        switch dice.roll(6) {
        case 0:
            machine.unsubscribed(consumer, from: service)
            views[consumer]?[service] = nil
        default:
            let view = dice.pick(told)
            machine.acknowledged(consumer, service, version: view.version)
            // One that was folded into the acknowledged view is told apart no more.
            if let index = told.lastIndex(of: view), index >= told.count - SubscriptionMachine.toldLimit {
                told.removeFirst(index)
            }
            views[consumer]?[service] = told
        }
    }

    private mutating func tell() {
        for consumer in consumers {
            for service in services where views[consumer]?[service]?.isEmpty == false {
                if let snapshot = machine.toldNext(consumer, of: service, again: false) {
                    views[consumer]?[service]?.append(snapshot)
                }
            }
        }
    }

    // MARK: Checking

    mutating func check() {
        let all = Set(services + model.facts.map(\.service))
        for service in all {
            let snapshot = machine.snapshot(of: service)
            let (declared, implied) = model.seen(service)
            #expect(Set(snapshot.records.filter { !$0.isImplied }) == declared, "seed \(seed), \(service)")
            let shown = snapshot.records.filter(\.isImplied)
            sights.implied += shown.count
            sights.unhealthy += snapshot.records.count { !$0.isHealthy }
            #expect(
                Set(shown.map { "\($0.address):\($0.port) \($0.takesCalls)" }) == implied, "seed \(seed), \(service)")
            if let old = newest[service], old != snapshot {
                #expect(snapshot.version > old.version, "seed \(seed), \(service)")
            }
            newest[service] = snapshot
            for origin in Origin.allCases {
                let foreign = snapshot.instances(foreignTo: origin)
                let echoes = foreign.filter { instance in
                    snapshot.records.contains {
                        $0.origin == origin && $0.address == instance.address && $0.port == instance.port
                    }
                }
                #expect(echoes.isEmpty, "seed \(seed), \(service)")
            }
        }
        for address in model.withdrawn {
            var expected: Set<String> = []
            for (consumer, known) in views {
                for (service, held) in known where held.contains(where: { $0.shows(address) }) {
                    expected.insert("\(consumer) \(service)")
                }
            }
            let found = machine.outstanding(address: address).map { "\($0.subscriber) \($0.service)" }
            sights.outstanding += found.count
            #expect(Set(found) == expected, "seed \(seed), \(address)")
        }
        let shown = Set(all.filter { newest[$0]?.isEmpty == false }).union(impliedServices())
        #expect(Set(machine.services) == shown, "seed \(seed)")
    }

    private func impliedServices() -> Set<ServiceName> {
        let targets = model.facts.flatMap { Crossing.consequences(of: $0.instance, in: $0.service, model.table) }
        return Set(targets.map(\.service)).filter { !model.seen($0).implied.isEmpty }
    }

    // MARK: Restart

    /// The program is killed: what an exporter keeps is put back before anybody is told anything.
    mutating func restart() throws {
        var kept: [(ServiceName, Instance)] = []
        for service in services {
            for instance in machine.snapshot(of: service).records where !instance.isImplied {
                guard instance.origin != .kubernetes else { continue }
                kept.append((service, instance))
            }
        }
        let before = Dictionary(uniqueKeysWithValues: services.map { ($0, machine.snapshot(of: $0)) })
        let kubernetes = model.facts.filter { $0.instance.origin == .kubernetes }
        var old = model
        starts += 1
        machine = CatalogueMachine(sources: [.kubernetes], firstVersion: 1_000_000 * starts)
        model = Model()
        views = [:]
        for row in old.table.mappings {
            try machine.adopted(row.value, in: row.key.namespace)
            _ = model.table.set(row.value, for: row.key)
        }
        for address in old.withdrawn {
            machine.withdrew(address: address)
            model.withdrawn.insert(address)
        }
        for fact in kubernetes {
            machine.replaced(
                kubernetes.filter { $0.service == fact.service }.map(\.instance), of: .kubernetes, as: fact.service,
                now: now)
        }
        for fact in kubernetes { model.say(fact.instance, as: fact.service, at: now) }
        old.facts = []
        for (service, instance) in kept {
            var adopted = instance
            if instance.lifetime != .persistent { adopted.lifetime = .lease(.adopted) }
            try machine.registered(adopted, as: service, now: now)
            model.say(adopted, as: service, at: now)
        }
        _ = try machine.subscribed(consumers[0], to: services[0])
        #expect(machine.toldNext(consumers[0], of: services[0], again: false) == nil, "half a picture, seed \(seed)")
        machine.unsubscribed(consumers[0], from: services[0])
        machine.sourceSynced(.kubernetes)
        machine.timePassed(now: now + .seconds(59))
        for service in services {
            let places = Set(
                machine.snapshot(of: service).instances.filter(\.isHealthy).map { "\($0.address):\($0.port)" })
            let healthy = before[service]?.instances.filter(\.isHealthy) ?? []
            #expect(places.isSuperset(of: healthy.map { "\($0.address):\($0.port)" }), "seed \(seed), \(service)")
        }
        now += .seconds(59)
        model.pass(to: now)
        check()
    }
}
