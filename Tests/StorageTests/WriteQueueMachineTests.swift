// Scripts for the order of writes: requests and commits in, decisions and batches out.

import Objects
import Testing

@testable import Storage

@Suite struct WriteQueueMachineTests {
    typealias Machine = WriteQueueMachine<String>

    @Test func checksAgainstWritesThatAreNotYetCommitted() {
        var machine = Machine(revision: 10, limits: .init())
        #expect(ask(&machine, .create("/a", encode: encode), "1") == "start")
        #expect(ask(&machine, .create("/a", encode: encode), "2") == "doubted")
        #expect(ask(&machine, .update("/a", expecting: 11, encode: encode), "3") == "wait")
        #expect(ask(&machine, .update("/a", expecting: 11, encode: encode), "4") == "doubted")
        #expect(ask(&machine, .delete("/a", expecting: nil, encode: { _, _ in [] }), "5") == "wait")
        #expect(ask(&machine, .update("/a", expecting: 13, encode: encode), "6") == "doubted")
        #expect(machine.committerReady()?.map(\.ticket) == ["1", "3", "5"])
        #expect(machine.settledDoubts().isEmpty)
        #expect(machine.batchCommitted().map(\.event.revision) == [11, 12, 13])
        #expect(
            machine.settledDoubts().map { "\($0.ticket) \(word($0.failure))" } == [
                "2 exists", "4 conflict 12", "6 missing",
            ])
        #expect(machine.settledDoubts().isEmpty)
        #expect(machine.committerReady()?.count == nil)
    }

    @Test func writersShareACommit() {
        var limits = StoreLimits()
        limits.batchWrites = 2
        var machine = Machine(revision: 0, limits: limits)
        #expect(ask(&machine, .create("/1", encode: encode), "1") == "start")
        #expect(machine.committerReady()?.map(\.ticket) == ["1"])
        for name in ["2", "3", "4"] { #expect(ask(&machine, .create("/" + name, encode: encode), name) == "wait") }
        _ = machine.batchCommitted()
        #expect(machine.committerReady()?.map(\.ticket) == ["2", "3"])
        _ = machine.batchCommitted()
        #expect(machine.committerReady()?.map(\.ticket) == ["4"])
        _ = machine.batchCommitted()
        #expect(machine.committerReady()?.count == nil)
        #expect(ask(&machine, .create("/5", encode: encode), "5") == "start")
    }

    @Test func aFailedCommitFailsWhatWasBuiltOnIt() {
        var machine = Machine(revision: 0, limits: .init())
        _ = ask(&machine, .create("/a", encode: encode), "1")
        _ = machine.committerReady()
        _ = ask(&machine, .update("/a", expecting: 1, encode: encode), "2")
        _ = ask(&machine, .create("/b", encode: encode), "3")
        #expect(ask(&machine, .create("/b", encode: encode), "in doubt") == "doubted")
        #expect(machine.batchFailed() == ["1", "2", "3", "in doubt"])
        #expect(machine.settledDoubts().isEmpty)
        #expect(machine.committerReady()?.count == nil)
        #expect(ask(&machine, .create("/a", encode: encode), "4") == "start")
        #expect(machine.committerReady()?.map(\.event.revision) == [1])
    }

    @Test func limitsAreKept() {
        var limits = StoreLimits()
        limits.recordBytes = 10
        limits.waitingWrites = 2
        var machine = Machine(revision: 0, limits: limits)
        #expect(ask(&machine, .create("/a", encode: { _ in [UInt8](repeating: 0, count: 11) }), "1") == "413")
        #expect(ask(&machine, .create("/ä", encode: encode), "1") == "400")
        #expect(ask(&machine, .create("/a", encode: encode), "1") == "start")
        #expect(ask(&machine, .create("/b", encode: encode), "2") == "wait")
        #expect(ask(&machine, .create("/c", encode: encode), "3") == "429")
        machine.closed(.storeClosed)
        #expect(ask(&machine, .create("/d", encode: encode), "4") == "503")
        #expect(machine.committerReady()?.count == 2)
    }

    private let encode: @Sendable (UInt64) -> [UInt8] = { [UInt8(truncatingIfNeeded: $0)] }

    private func ask(_ machine: inout Machine, _ change: Machine.Change, _ ticket: String) -> String {
        switch machine.requested(change, ticket: ticket, committed: { _ in nil }) {
        case .accepted(startCommitter: true): "start"
        case .accepted(startCommitter: false): "wait"
        case .doubted: "doubted"
        case .refused(let failure): word(failure)
        }
    }

    private func word(_ failure: StoreFailure) -> String {
        switch failure {
        case .exists: "exists"
        case .missing: "missing"
        case .conflict(let current): "conflict \(current.revision)"
        case .refused(let problem): "\(problem.code)"
        }
    }
}
