// Sessions and watches by scripts of events.

import NIOCore
import Testing

@testable import ZooKeeperServer

@Suite struct SessionMachineTests {
    private let password = [UInt8](repeating: 7, count: 16)

    private func began(
        _ machine: inout SessionMachine, wanting timeout: Int32, password: [UInt8], connection: Int, now: Int64
    ) throws -> Session {
        let session = machine.began(wanting: timeout, password: password, connection: connection, now: now)
        return try #require(session)
    }

    @Test func timeOutsAreNegotiated() throws {
        var machine = SessionMachine(milliseconds: 1_700_000_000_000, now: 0)
        #expect(machine.began(wanting: 10, password: password, connection: 1, now: 0)?.timeoutMilliseconds == 4_000)
        #expect(
            machine.began(wanting: 60_000, password: password, connection: 2, now: 0)?.timeoutMilliseconds == 60_000)
        #expect(machine.began(wanting: .max, password: password, connection: 3, now: 0)?.timeoutMilliseconds == 60_000)
    }

    @Test func aSilentSessionExpiresAndOneThatIsHeardDoesNot() throws {
        var machine = SessionMachine(milliseconds: 1, now: 0)
        let a = try began(&machine, wanting: 4_000, password: password, connection: 1, now: 0)
        let b = try began(&machine, wanting: 4_000, password: password, connection: 2, now: 0)
        for now in stride(from: Int64(500), through: 4_000, by: 500) {
            machine.heard(b.id, now: now)
            #expect(machine.timePassed(now: now).isEmpty)
        }
        #expect(machine.timePassed(now: 4_500).map(\.id) == [a.id])
        #expect(!machine.isAlive(a.id) && machine.isAlive(b.id))
    }

    @Test func aPauseOfTheWholeProcessEndsNobody() throws {
        var machine = SessionMachine(milliseconds: 1, now: 0)
        let a = try began(&machine, wanting: 4_000, password: password, connection: 1, now: 0)
        #expect(machine.timePassed(now: 500).isEmpty)
        #expect(machine.timePassed(now: 60_000).isEmpty)
        machine.heard(a.id, now: 60_000)
        #expect(machine.timePassed(now: 60_500).isEmpty)
        #expect(machine.timePassed(now: 61_000).isEmpty)
    }

    @Test func onlyWhoKnowsThePasswordResumes() throws {
        var machine = SessionMachine(milliseconds: 1, now: 0)
        let a = try began(&machine, wanting: 4_000, password: password, connection: 1, now: 0)
        #expect(machine.returned(a.id, password: [1], wanting: 4_000, connection: 2, now: 0) == .unknown)
        #expect(machine.returned(a.id + 1, password: password, wanting: 4_000, connection: 2, now: 0) == .unknown)
        let back = machine.returned(a.id, password: password, wanting: 8_000, connection: 2, now: 3_000)
        #expect(back == .resumed(Session(id: a.id, password: password, timeoutMilliseconds: 8_000), displaced: 1))
        // The old connection's end is not the session's.
        machine.disconnected(a.id, connection: 1)
        #expect(machine.connection(of: a.id) == 2)
    }

    @Test func storedSessionsHaveTheirTimeToComeBack() {
        let stored = Session(id: 99, password: password, timeoutMilliseconds: 4_000)
        var machine = SessionMachine(stored: [stored], milliseconds: 1, now: 10_000)
        for now in stride(from: Int64(10_500), through: 14_000, by: 500) {
            #expect(machine.timePassed(now: now).isEmpty)
        }
        #expect(machine.timePassed(now: 14_500).map(\.id) == [99])
    }

    @Test func numbersGrowAndNeverLookLikeAnotherKindOfOwner() throws {
        var machine = SessionMachine(milliseconds: 1_800_000_000_000, now: 0)
        let a = try began(&machine, wanting: 4_000, password: password, connection: 1, now: 0)
        let b = try began(&machine, wanting: 4_000, password: password, connection: 2, now: 0)
        #expect(b.id > a.id && a.id >> 56 == 1)
        #expect(Node.Kind(owner: a.id) == .ephemeral(a.id))
    }
}

@Suite struct WatchMachineTests {
    @Test func oneShotWatchesFireOnce() {
        var machine = WatchMachine()
        machine.added(.data, at: "/a", session: 1)
        machine.added(.children, at: "/a", session: 2)
        #expect(machine.happened(.childrenChanged, at: "/a") == [2])
        #expect(machine.happened(.childrenChanged, at: "/a") == [])
        #expect(machine.happened(.dataChanged, at: "/a") == [1])
        #expect(machine.count == 0 && machine.pathCount == 0)
    }

    @Test func aDeletionIsToldOnceToWhoWatchesTwice() {
        var machine = WatchMachine()
        machine.added([.data], at: "/a", session: 1)
        machine.added([.children], at: "/a", session: 1)
        #expect(machine.happened(.deleted, at: "/a") == [1])
        #expect(machine.count == 0)
    }

    @Test func lastingWatchesStay() {
        var machine = WatchMachine()
        machine.added(.persistent, at: "/a", session: 1)
        machine.added(.recursive, at: "/", session: 2)
        #expect(machine.happened(.created, at: "/a").sorted() == [1, 2])
        #expect(machine.happened(.childrenChanged, at: "/a") == [1])
        #expect(machine.happened(.dataChanged, at: "/a/b/c") == [2])
        machine.removed(.recursive, at: "/", session: 2)
        #expect(machine.happened(.dataChanged, at: "/a/b/c") == [])
        machine.disconnected(1)
        #expect(machine.sessionCount == 0)
    }

    @Test func aOneShotWatchBesideALastingOneGoesAlone() {
        var machine = WatchMachine()
        machine.added(.persistent, at: "/a", session: 1)
        machine.added(.data, at: "/a", session: 1)
        #expect(machine.happened(.dataChanged, at: "/a") == [1])
        #expect(machine.modes(at: "/a", session: 1) == .persistent)
        #expect(machine.happened(.dataChanged, at: "/a") == [1])
    }

    @Test func thereIsALimit() {
        var limits = Limits()
        limits.sessionWatches = 2
        var machine = WatchMachine(limits: limits)
        #expect(machine.added(.data, at: "/a", session: 1) && machine.added(.data, at: "/b", session: 1))
        #expect(machine.added(.data, at: "/c", session: 1) == false)
        #expect(machine.added(.children, at: "/a", session: 1) == true)
        #expect(machine.added(.data, at: "/c", session: 2) == true)
    }
}

@Suite struct OutboxTests {
    private func frame(_ outbox: inout Outbox, after zxid: Int64, durable: Int64) {
        outbox.add(after: zxid, durable: durable) { bytes, told in bytes.writeInteger(told) }
    }

    private func zxids(_ outbox: inout Outbox) -> [Int64] {
        var bytes = outbox.takeReady() ?? ByteBuffer()
        var result: [Int64] = []
        while let length: Int32 = bytes.readInteger(), let zxid: Int64 = bytes.readInteger() {
            #expect(length == 8)
            result.append(zxid)
        }
        return result
    }

    @Test func whatRestsOnTheDiskWaitsAndOrderIsKept() {
        var outbox = Outbox()
        frame(&outbox, after: 1, durable: 1)
        #expect(zxids(&outbox) == [1])
        frame(&outbox, after: 3, durable: 1)
        frame(&outbox, after: 0, durable: 1)
        frame(&outbox, after: 5, durable: 1)
        #expect(zxids(&outbox) == [] && outbox.heldCount == 3)
        outbox.settled(3)
        #expect(zxids(&outbox) == [3, 3])
        outbox.settled(4)
        #expect(zxids(&outbox) == [] && outbox.isHolding)
        outbox.settled(5)
        #expect(zxids(&outbox) == [5] && !outbox.isHolding)
    }
}
