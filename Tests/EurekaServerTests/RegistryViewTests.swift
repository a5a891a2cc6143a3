// What clients see who fetch everything once and follow the changes.

import Catalogue
import Fuzzing
import Testing

@testable import EurekaServer

/// A client as Netflix' `DiscoveryClient` is one: it applies deltas, and fetches everything when the hash does not
/// agree.
private struct FollowingClient {
    var copy: [String: [String: InstanceStatus]] = [:]
    var fullFetches = 0

    static func full(_ machine: RegistryViewMachine) -> [String: [String: InstanceStatus]] {
        Dictionary(
            uniqueKeysWithValues: machine.names.map { app in
                (app, Dictionary(uniqueKeysWithValues: machine.entries(of: app).map { ($0.id, $0.entry.status) }))
            })
    }

    var hashCode: String { RegistryViewMachine.hashCode(of: copy.values.flatMap(\.values)) }

    mutating func fetch(_ machine: RegistryViewMachine, now: ContinuousClock.Instant) {
        for (app, changes) in machine.delta(now: now) {
            for (id, entry) in changes {
                copy[app, default: [:]][id] = entry.action == .deleted ? nil : entry.status
            }
            if copy[app]?.isEmpty == true { copy[app] = nil }
        }
        if hashCode != machine.hashCode {
            fullFetches += 1
            copy = Self.full(machine)
        }
    }
}

@Suite struct RegistryViewTests {
    private let orders = ServiceName(name: "orders")

    private func contribution(
        _ app: String, _ port: Int, healthy: Bool = true, origin: Origin = .nacos
    ) -> RegistryViewMachine.Contribution {
        .init(
            app: app, id: "\(origin.rawValue):\(port)", status: healthy ? .up : .down,
            instance: Instance(
                address: "10.0.0.1", port: port, isHealthy: healthy, lifetime: .persistent, origin: origin))
    }

    @Test func changesAreDeltasForAWhile() {
        var machine = RegistryViewMachine()
        machine.changed(
            orders, [contribution("ORDERS", 1), contribution("ORDERS", 2, healthy: false)], now: Sample.moment(0))
        #expect(machine.hashCode == "DOWN_1_UP_1_")
        machine.changed(orders, [contribution("ORDERS", 1, healthy: false)], now: Sample.moment(10))
        #expect(machine.hashCode == "DOWN_1_")
        let delta = machine.delta(now: Sample.moment(10).instant)["ORDERS"] ?? []
        #expect(
            delta.map { "\($0.id) \($0.entry.action.rawValue) \($0.entry.status.rawValue)" } == [
                "nacos:2 DELETED DOWN", "nacos:1 MODIFIED DOWN",
            ])
        #expect(machine.delta(now: Sample.moment(190).instant)["ORDERS"]?.count == 2)
        #expect(machine.delta(now: Sample.moment(191).instant).isEmpty)
        machine.changed(orders, [], now: Sample.moment(400))
        #expect(machine.hashCode == "" && machine.names.isEmpty && !machine.isIdle)
        machine.timePassed(now: Sample.moment(700).instant)
        #expect(machine.isIdle)
    }

    @Test func theSamePlaceIsOneInstance() {
        var machine = RegistryViewMachine()
        let twin = ServiceName(name: "Orders")
        machine.changed(
            orders, [contribution("ORDERS", 1), contribution("ORDERS", 1, origin: .eureka)], now: Sample.moment(0))
        machine.changed(twin, [contribution("ORDERS", 1), contribution("ORDERS", 2)], now: Sample.moment(0))
        #expect(machine.entries(of: "ORDERS").map(\.id) == ["eureka:1", "nacos:2"])
        #expect(machine.services(of: "ORDERS") == [orders, twin])
        machine.changed(orders, [], now: Sample.moment(1))
        #expect(machine.entries(of: "ORDERS").map(\.id) == ["nacos:1", "nacos:2"])
        #expect(machine.hashCode == "UP_2_")
    }

    /// Whoever follows the changes ends with what a full fetch gives, however the times fall; and within the window
    /// without ever needing one.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func whoFollowsHasTheSame(_ seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var machine = RegistryViewMachine(firstVersion: seed)
        let services = [("orders", "ORDERS"), ("Orders", "ORDERS"), ("web", "WEB"), ("billing", "BILLING")]
        var often = FollowingClient()
        var seldom = FollowingClient()
        var second = 0
        var oftenAt = 0
        often.fetch(machine, now: Sample.moment(0).instant)
        for _ in 0..<300 {
            second += Int.random(in: 0...40, using: &random)
            if second - oftenAt > 170 {
                // It comes in time whatever else happens.
                oftenAt += 170
                often.fetch(machine, now: Sample.moment(oftenAt).instant)
                if second - oftenAt > 170 { second = oftenAt + 170 }
            }
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                often.fetch(machine, now: Sample.moment(second).instant)
                oftenAt = second
                #expect(often.copy == FollowingClient.full(machine), "seed \(seed)")
            case 1 where Int.random(in: 0..<5, using: &random) == 0:
                seldom.fetch(machine, now: Sample.moment(second).instant)
                #expect(seldom.hashCode == machine.hashCode, "seed \(seed)")
            case 2: machine.timePassed(now: Sample.moment(second).instant)
            default:
                let (name, app) = services.randomElement(using: &random) ?? ("web", "WEB")
                let given = (1...5).filter { _ in Bool.random(using: &random) }.map { port in
                    contribution(
                        app, port, healthy: Bool.random(using: &random),
                        origin: Bool.random(using: &random) ? .nacos : .eureka)
                }
                machine.changed(ServiceName(name: name), given, now: Sample.moment(second))
            }
            #expect(
                machine.hashCode
                    == RegistryViewMachine.hashCode(of: FollowingClient.full(machine).values.flatMap(\.values)))
        }
        #expect(often.fullFetches == 0, "seed \(seed)")
    }
}
