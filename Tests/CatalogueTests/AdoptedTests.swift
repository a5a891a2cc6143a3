// What was put back after a restart, and waits for its writer.

import Testing

@testable import Catalogue

@Suite struct AdoptedTests {
    private let orders = ServiceName(name: "orders")
    private let start = ContinuousClock.now

    @Test func itIsFoundByItsIDUntilItsWriterComesOrItsLeaseEnds() throws {
        var machine = CatalogueMachine(sources: [], firstVersion: 1_000)
        for comes in [true, false] {
            var record = Instance(id: "a", address: "10.0.0.1", port: 80, lifetime: .lease(.adopted), origin: .eureka)
            try machine.registered(record, as: orders, now: start)
            #expect(machine.adopted("a", of: .eureka).map(\.service) == [orders])
            #expect(machine.adopted("a", of: .nacos).isEmpty && machine.adopted("b", of: .eureka).isEmpty)
            record.lifetime = .lease(.eureka())
            if comes { try machine.registered(record, as: orders, now: start) }
            machine.timePassed(now: start + .seconds(60))
            #expect(machine.adopted("a", of: .eureka).isEmpty)
            #expect(machine.snapshot(of: orders).isEmpty == !comes)
        }
    }
}
