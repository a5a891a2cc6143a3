// The cache, the choice of upstream servers and the limits by source, by scripts of events.

import NIO
import Testing

@testable import DNSServer

private func question(_ name: String) -> Question { Question(name: DomainName(name)!, type: .a) }

private func records(_ name: String, life: UInt32, count: UInt32 = 1) -> StoredAnswer {
    StoredAnswer(
        Message(
            id: 9, isResponse: true, questions: [question(name)],
            answers: (0..<count).map {
                ResourceRecord(name: DomainName(name)!, timeToLiveSeconds: life, data: .address(.v4(0x0a00_0001 + $0)))
            }))
}

private func denial(_ name: String, life: UInt32, negative: UInt32) -> StoredAnswer {
    let soa = Zone.startOfAuthority(of: DomainName("example.com")!, serial: 1)
    guard case .soa(var authority) = soa else { return records(name, life: 0) }
    authority.negativeSeconds = negative
    return StoredAnswer(
        Message(
            id: 9, isResponse: true, code: .noSuchName, questions: [question(name)],
            authorities: [
                ResourceRecord(name: DomainName("example.com")!, timeToLiveSeconds: life, data: .soa(authority))
            ]))
}

@Suite struct CacheTests {
    let key = QuestionKey(question("www.example.com"))

    private func written(
        _ answer: StoredAnswer, _ name: String = "wWw.example.com", age: UInt32 = 0, stale: Bool = false,
        limit: Int = 1232
    ) throws -> Message {
        guard case .query(let query) = Query.read(Samples.query(name)) else { throw MessageFault.badRecord }
        let buffer = answer.written(to: query, ageSeconds: age, isStale: stale, flags: 0, limitBytes: limit)
        #expect(buffer.readableBytes <= limit)
        return try MessageReader.message(Array(buffer.readableBytesView))
    }

    @Test func livesCountDownAndTheQuestionIsTheClientsOwn() throws {
        let message = try written(records("www.example.com", life: 60, count: 2), age: 25)
        #expect(message.id == 0x1234 && message.questions.first?.name.description == "wWw.example.com.")
        #expect(message.answers.map(\.timeToLiveSeconds) == [35, 35])
        #expect(message.answers[0].name.description == "wWw.example.com.")
        #expect(
            try written(records("www.example.com", life: 60), age: 90, stale: true).answers[0].timeToLiveSeconds == 30)
    }

    @Test func largeAnswersAreCutAtARecord() throws {
        let message = try written(records("www.example.com", life: 60, count: 100), limit: 512)
        #expect(message.isTruncated && message.answers.count == 29)
    }

    @Test func freshThenStaleThenGone() {
        var cache = AnswerCacheMachine()
        guard case .none = cache.find(key, now: 0) else { return #expect(Bool(false)) }
        cache.answered(key, records("www.example.com", life: 60), now: 0)
        guard case .fresh(_, ageSeconds: 53, isEnding: false) = cache.find(key, now: 53_900) else {
            return #expect(Bool(false))
        }
        // In its last tenth it is fetched anew, by one.
        guard case .fresh(_, _, isEnding: true) = cache.find(key, now: 54_000) else { return #expect(Bool(false)) }
        guard case .fresh(_, _, isEnding: false) = cache.find(key, now: 59_999) else { return #expect(Bool(false)) }
        guard case .stale(_, mayAsk: true) = cache.find(key, now: 60_000) else { return #expect(Bool(false)) }
        cache.failed(key, .failure(of: key.question), now: 61_000)
        guard case .stale(_, mayAsk: false) = cache.find(key, now: 90_999) else { return #expect(Bool(false)) }
        guard case .stale(_, mayAsk: true) = cache.find(key, now: 91_000) else { return #expect(Bool(false)) }
        guard case .none = cache.find(key, now: 60_000 + AnswerCacheMachine.staleLimitMilliseconds) else {
            return #expect(Bool(false))
        }
        #expect(cache.count == 0 && cache.sizeBytes == 0)
    }

    @Test func denialsLiveAsLongAsTheirAuthoritySays() {
        var cache = AnswerCacheMachine()
        cache.answered(key, denial("www.example.com", life: 900, negative: 20), now: 0)
        guard case .fresh(let answer, _, _) = cache.find(key, now: 19_999) else { return #expect(Bool(false)) }
        #expect(answer.kind == .denial && answer.code == .noSuchName)
        guard case .stale = cache.find(key, now: 20_000) else { return #expect(Bool(false)) }
        // Nobody says how long this one holds.
        #expect(StoredAnswer(Message(id: 1, code: .noSuchName, questions: [question("a.b")])).lifeSeconds == 0)
        #expect(
            denial("a.b", life: 1_000_000, negative: 1_000_000).lifeSeconds == StoredAnswer.negativeLifeLimitSeconds)
        #expect(records("a.b", life: 1_000_000).lifeSeconds == StoredAnswer.lifeLimitSeconds)
    }

    @Test func failuresAreRememberedForAMoment() {
        var cache = AnswerCacheMachine()
        cache.failed(key, .failure(of: key.question), now: 0)
        guard case .fresh(let answer, _, _) = cache.find(key, now: 999) else { return #expect(Bool(false)) }
        #expect(answer.kind == .failure && answer.code == .serverFailure)
        guard case .none = cache.find(key, now: 1000) else { return #expect(Bool(false)) }
    }

    @Test func zeroIsNotKept() {
        var cache = AnswerCacheMachine()
        cache.answered(key, records("www.example.com", life: 60), now: 0)
        cache.answered(key, records("www.example.com", life: 0), now: 1)
        #expect(cache.count == 0)
    }

    @Test func entriesAndBytesAreLimitedAndTheUsedStay() {
        var cache = AnswerCacheMachine(entryLimit: 100)
        let used = QuestionKey(question("used.example.com"))
        cache.answered(used, records("used.example.com", life: 600), now: 0)
        for index in 0..<1000 {
            let name = "n\(index).example.com"
            cache.answered(QuestionKey(question(name)), records(name, life: 600), now: Int64(index))
            guard case .fresh = cache.find(used, now: Int64(index)) else {
                return #expect(Bool(false), "evicted at \(index)")
            }
        }
        #expect(cache.count == 100 && cache.counts.evictions == 901)

        var small = AnswerCacheMachine(byteLimit: 20_000)
        for index in 0..<1000 {
            let name = "n\(index).example.com"
            small.answered(QuestionKey(question(name)), records(name, life: 600, count: 1 + UInt32(index % 40)), now: 0)
            #expect(small.sizeBytes <= 20_000)
        }
        #expect(small.count > 5)
    }

    @Test func namesInDataOfKnownTypesAreWrittenOut() throws {
        // An MX whose exchange is a pointer to the question: kept as it is, it would point elsewhere in another
        // message.
        var bytes = Samples.query("example.com", .mx)
        bytes[2] = 0x81
        bytes[7] = 1
        bytes += [0xc0, 12, 0, 15, 0, 1, 0, 0, 1, 0, 0, 7, 0, 10, 2, 109, 120, 0xc0, 12]
        let message = try MessageReader.message(bytes)
        #expect(message.answers.first?.data == .other(.mx, [0, 10, 2, 109, 120] + DomainName("example.com")!.wire))
        #expect(try MessageReader.message(MessageWriter.bytes(message)) == message)
    }
}

@Suite struct UpstreamTests {
    @Test func silentServersWaitBehindTheOthers() {
        var machine = UpstreamMachine(count: 3)
        #expect(machine.plan(now: 0) == [0, 1, 2])
        machine.failed(0, now: 0)
        #expect(machine.plan(now: 0) == [0, 1, 2])
        machine.failed(0, now: 0)
        #expect(machine.plan(now: 999) == [1, 2, 0])
        #expect(machine.plan(now: 1000) == [0, 1, 2])
        machine.failed(0, now: 1000)
        #expect(machine.isDown(0, now: 2999) && !machine.isDown(0, now: 3000))
        for _ in 0..<20 { machine.failed(0, now: 5000) }
        #expect(!machine.isDown(0, now: 5000 + UpstreamMachine.restLimitMilliseconds))
        machine.answered(0, afterSeconds: 0.1)
        #expect(machine.plan(now: 5000) == [0, 1, 2])
    }

    @Test func oneServerIsAskedAgain() {
        #expect(UpstreamMachine(count: 1).plan(now: 0) == [0, 0, 0])
        #expect(UpstreamMachine(count: 0).plan(now: 0) == [])
    }
}

@Suite struct SourceTests {
    @Test func oneSourceCannotTakeAll() {
        var machine = SourceMachine()
        let greedy = IPAddress("10.88.0.5")!, modest = IPAddress("10.88.0.6")!
        let admitted = (0..<500).count { _ in machine.asked(greedy, now: 0) }
        #expect(admitted == SourceMachine.waitingLimit && machine.refusals == 500 - UInt64(SourceMachine.waitingLimit))
        let other = machine.asked(modest, now: 0)
        #expect(other)
        machine.answered(greedy)
        let again = machine.asked(greedy, now: 0)
        #expect(again)
    }

    @Test func ratesAreLimited() {
        var machine = SourceMachine()
        let source = IPAddress("fd00::1")!, neighbour = IPAddress("fd00::2")!
        func ask(_ address: IPAddress, now: Int64) -> Bool {
            let isLetIn = machine.asked(address, now: now)
            if isLetIn { machine.answered(address) }
            return isLetIn
        }
        #expect((0..<2000).count { _ in ask(source, now: 0) } == SourceMachine.burstLimit)
        #expect(!ask(neighbour, now: 0))
        #expect((0..<2000).count { _ in ask(source, now: 1000) } == Int(SourceMachine.perSecond))
    }

    @Test func sourcesAreForgotten() {
        var machine = SourceMachine()
        for index in 0..<10_000 {
            let source = IPAddress.v4(UInt32(index))
            let isLetIn = machine.asked(source, now: Int64(index))
            #expect(isLetIn)
            machine.answered(source)
        }
        #expect(machine.count <= SourceMachine.sourceLimit)
    }
}
