// Scripts of what writers do, and what the catalogue is told of it.

import Catalogue
import Testing

@testable import EurekaServer

@Suite struct RegistrationTests {
    private let key = RegistrationKey(namespace: "default", app: "ORDERS", id: "10.1.0.7:orders:8080")
    private let orders = ServiceName(name: "orders")

    private func machine(_ preservation: SelfPreservation? = nil) throws -> RegistrationMachine {
        var machine = RegistrationMachine(preservation: preservation)
        _ = machine.registered(try Sample.info(), key, as: orders, now: Sample.moment(0))
        return machine
    }

    private var renewal: RegistrationAction { .renew(address: "10.1.0.7", port: 8080, orders) }

    @Test func aBeatRenewsAndTellsWhoHasToRegister() throws {
        var machine = try machine()
        #expect(machine.beaten(key, lastDirty: nil, now: Sample.moment(1)) == .renew(renewal, isCurrent: true))
        #expect(
            machine.beaten(key, lastDirty: 1_700_000_000_000, now: Sample.moment(1)) == .renew(renewal, isCurrent: true)
        )
        #expect(machine.beaten(key, lastDirty: 5, now: Sample.moment(1)) == .renew(renewal, isCurrent: true))
        #expect(
            machine.beaten(key, lastDirty: 1_700_000_000_001, now: Sample.moment(1))
                == .renew(renewal, isCurrent: false))
        machine.lost(key)
        #expect(machine.beaten(key, lastDirty: nil, now: Sample.moment(2)) == .unknown)
    }

    @Test func anOverrideStaysUntilItIsTakenOff() throws {
        var machine = try machine()
        #expect(machine.overridden(key, by: .outOfService, lastDirty: nil, now: Sample.moment(1))?.count == 1)
        #expect(machine.registration(key)?.info.status == .outOfService)
        _ = machine.registered(
            try Sample.info(Sample.registration(dirty: 1_700_000_000_001)), key, as: orders, now: Sample.moment(2))
        #expect(machine.registration(key)?.info.status == .outOfService, "a new registration does not lift it")
        let down = try Sample.info(Sample.registration(status: "DOWN", dirty: 1_700_000_000_002))
        _ = machine.registered(down, key, as: orders, now: Sample.moment(3))
        #expect(machine.registration(key)?.info.status == .down, "who is down is down")
        #expect(machine.overrideRemoved(key, status: .unknown, lastDirty: nil, now: Sample.moment(4))?.count == 1)
        #expect(
            machine.beaten(key, lastDirty: nil, now: Sample.moment(5)) == .unknown,
            "its status is known when it registers")
        _ = machine.registered(
            try Sample.info(Sample.registration(dirty: 1_700_000_000_003)), key, as: orders, now: Sample.moment(6))
        #expect(machine.registration(key)?.info.status == .up)
        #expect(machine.overrideRemoved(key, status: .unknown, lastDirty: nil, now: Sample.moment(7)) == [])
        let stranger = RegistrationKey(namespace: "default", app: "ORDERS", id: "x")
        #expect(machine.overridden(stranger, by: .up, lastDirty: nil, now: Sample.moment(8)) == nil)
        #expect(machine.cancelled(stranger) == nil)
    }

    @Test func olderWordsAreNotTaken() throws {
        var machine = try machine()
        let old = try Sample.info(Sample.registration(address: "10.1.0.9", dirty: 5))
        _ = machine.registered(old, key, as: orders, now: Sample.moment(1))
        #expect(machine.registration(key)?.info.ipAddress == "10.1.0.7")
    }

    @Test func aMovedInstanceIsThereBeforeTheOldPlaceGoes() throws {
        var machine = try machine()
        let moved = try Sample.info(Sample.registration(port: 9090, dirty: 1_700_000_000_001))
        let actions = machine.registered(moved, key, as: orders, now: Sample.moment(1))
        #expect(actions.count == 2)
        guard case .register(let instance, orders) = actions.first else {
            Issue.record("\(actions)")
            return
        }
        #expect(instance.port == 9090)
        #expect(actions.last == .deregister(address: "10.1.0.7", port: 8080, orders))
        #expect(machine.cancelled(key) == [.deregister(address: "10.1.0.7", port: 9090, orders)])
    }

    @Test func theSilentAreForgotten() throws {
        var machine = try machine()
        machine.timePassed(now: Sample.moment(60).instant)
        #expect(machine.registration(key) != nil)
        machine.timePassed(now: Sample.moment(61).instant)
        #expect(machine.registration(key) == nil && !machine.isPreserving)
    }

    @Test func withSelfPreservationTheSilentAreKeptWhileTheyAreMany() throws {
        var machine = try machine(SelfPreservation(renewalShare: 0.5))
        let second = RegistrationKey(namespace: "default", app: "ORDERS", id: "b")
        let third = RegistrationKey(namespace: "default", app: "ORDERS", id: "c")
        for (place, key) in [second, third].enumerated() {
            _ = machine.registered(
                try Sample.info(Sample.registration(id: key.id, port: place)), key, as: orders, now: Sample.moment(0))
        }
        _ = machine.beaten(second, lastDirty: nil, now: Sample.moment(15))
        machine.timePassed(now: Sample.moment(19).instant)
        #expect(!machine.isPreserving, "nobody is silent yet")
        machine.timePassed(now: Sample.moment(20).instant)
        #expect(machine.isPreserving, "one of three beats")
        _ = machine.beaten(second, lastDirty: nil, now: Sample.moment(80))
        machine.timePassed(now: Sample.moment(80).instant)
        #expect(machine.isPreserving && machine.count == 3)
        _ = machine.beaten(third, lastDirty: nil, now: Sample.moment(81))
        machine.timePassed(now: Sample.moment(81).instant)
        #expect(!machine.isPreserving && machine.count == 2, "two of three beat")
    }
}
