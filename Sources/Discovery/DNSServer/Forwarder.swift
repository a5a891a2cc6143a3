// Answers what the zone does not know: from the cache, or from upstream servers, each question once at a time.

import NIO
import Synchronization

/// An answer from elsewhere, and how old it is.
struct GivenAnswer: Sendable {
    var answer: StoredAnswer
    var ageSeconds: UInt32 = 0
    var isStale = false
}

/// Asks upstream servers for what is not in the cache.
///
/// However many ask the same at once, upstream is asked once. The answer of the last server that could not answer is
/// passed on as it is; where none came at all, it is SERVFAIL.
final class Forwarder: Sendable {
    /// Different questions under way; one more is refused.
    static let questionLimit = 512
    /// Clients that wait for one question.
    static let waiterLimit = 256
    /// Who could be given a stale answer waits for a fresh one no longer than this (RFC 8767, section 5).
    static let patience = TimeAmount.milliseconds(1800)

    struct State: Sendable {
        var cache = AnswerCacheMachine()
        var addresses: [SocketAddress]
        var upstreams: UpstreamMachine
        /// Counts the lists of upstream servers, so that what is said of one is not taken for another's.
        var generation = 0
        var sources = SourceMachine()
        var waiting: [QuestionKey: [EventLoopPromise<GivenAnswer>]] = [:]
        /// Questions that joined one under way, and those that found no room.
        var joined: UInt64 = 0
        var overflows: UInt64 = 0
    }

    enum Reply {
        case now(GivenAnswer)
        case later(EventLoopFuture<GivenAnswer>)
        /// This source, or all together, ask for too much.
        case refused
    }

    private let state: Mutex<State>

    init(upstreams: [SocketAddress]) {
        state = Mutex(State(addresses: upstreams, upstreams: UpstreamMachine(count: upstreams.count)))
    }

    /// Asks these servers from now on. What is under way goes on with those it began with; what is known stays known.
    func use(_ upstreams: [SocketAddress]) {
        state.withLock { state in
            state.addresses = upstreams
            state.upstreams = UpstreamMachine(count: upstreams.count)
            state.generation += 1
        }
    }

    /// The servers that one question goes to, in order.
    private struct Turn: Sendable {
        let addresses: [SocketAddress]
        let generation: Int
        var plan: ArraySlice<Int>

        func then(_ plan: ArraySlice<Int>) -> Turn { Turn(addresses: addresses, generation: generation, plan: plan) }
    }

    /// Says something of a server, if it is one still.
    private func note(_ turn: Turn, _ word: (inout UpstreamMachine) -> Void) {
        state.withLock { if $0.generation == turn.generation { word(&$0.upstreams) } }
    }

    /// For metrics.
    var snapshot: State { state.withLock { $0 } }

    func ask(_ key: QuestionKey, from source: IPAddress?, on loop: any EventLoop) -> Reply {
        let now = Self.now
        return state.withLock { state -> Reply in
            var stale: StoredAnswer?
            switch state.cache.find(key, now: now) {
            case .fresh(let answer, let age, let isEnding):
                // Nobody waits for what is fetched ahead, so it needs no promise.
                if isEnding, state.waiting[key] == nil, state.waiting.count < Self.questionLimit {
                    state.waiting[key] = []
                    loop.execute { self.begin(key, on: loop) }
                }
                return .now(GivenAnswer(answer: answer, ageSeconds: age))
            case .stale(let answer, mayAsk: false): return .now(GivenAnswer(answer: answer, isStale: true))
            case .stale(let answer, mayAsk: true): stale = answer
            case .none: break
            }
            return wait(for: key, from: source, stale: stale, on: loop, now, &state)
        }
    }

    private func wait(
        for key: QuestionKey, from source: IPAddress?, stale: StoredAnswer?, on loop: any EventLoop, _ now: Int64,
        _ state: inout State
    ) -> Reply {
        let isUnderWay = state.waiting[key] != nil
        guard
            isUnderWay ? (state.waiting[key]?.count ?? 0) < Self.waiterLimit : state.waiting.count < Self.questionLimit
        else {
            state.overflows += 1
            return stale.map { .now(GivenAnswer(answer: $0, isStale: true)) } ?? .refused
        }
        if let source, !state.sources.asked(source, now: now) {
            return stale.map { .now(GivenAnswer(answer: $0, isStale: true)) } ?? .refused
        }
        let promise = loop.makePromise(of: GivenAnswer.self)
        state.waiting[key, default: []].append(promise)
        if isUnderWay { state.joined += 1 } else { loop.execute { self.begin(key, on: loop) } }
        var future = promise.futureResult
        if let stale { future = impatient(future, stale, on: loop) }
        if let source { future = future.always { _ in self.state.withLock { $0.sources.answered(source) } } }
        return .later(future)
    }

    /// The stale answer when no better one comes in time.
    private func impatient(
        _ future: EventLoopFuture<GivenAnswer>, _ stale: StoredAnswer, on loop: any EventLoop
    ) -> EventLoopFuture<GivenAnswer> {
        let promise = loop.makePromise(of: GivenAnswer.self)
        let given = GivenAnswer(answer: stale, isStale: true)
        let timer = loop.scheduleTask(in: Self.patience) {
            self.state.withLock { $0.cache.gaveStale() }
            promise.succeed(given)
        }
        future.whenComplete { result in
            timer.cancel()
            switch result {
            case .success(let fresh) where fresh.answer.kind != .failure: promise.succeed(fresh)
            default: promise.succeed(given)
            }
        }
        return promise.futureResult
    }

    private func begin(_ key: QuestionKey, on loop: any EventLoop) {
        let turn = state.withLock {
            Turn(addresses: $0.addresses, generation: $0.generation, plan: $0.upstreams.plan(now: Self.now)[...])
        }
        attempt(key, turn, on: loop).whenComplete { result in
            let now = Self.now
            var given = GivenAnswer(answer: .failure(of: key.question))
            if case .success(let message) = result { given.answer = StoredAnswer(message) }
            let promises = self.state.withLock { state in
                if given.answer.kind == .failure {
                    state.cache.failed(key, given.answer, now: now)
                } else {
                    state.cache.answered(key, given.answer, now: now)
                }
                return state.waiting.removeValue(forKey: key) ?? []
            }
            for promise in promises { promise.succeed(given) }
        }
    }

    /// Asks the servers of the plan until one knows. The last one's word counts, whatever it is.
    private func attempt(_ key: QuestionKey, _ turn: Turn, on loop: any EventLoop) -> EventLoopFuture<Message> {
        guard let index = turn.plan.first else { return loop.makeFailedFuture(UpstreamExchange.Fault.noAnswer) }
        let rest = turn.plan.dropFirst()
        let isPlain = state.withLock { $0.generation == turn.generation && $0.upstreams.health[index].isPlain }
        let began = NIODeadline.now()
        let exchange = UpstreamExchange(key: key, server: turn.addresses[index], loop: loop, isPlain: isPlain)
        return exchange.run().flatMap { message in
            let seconds = Double((NIODeadline.now() - began).nanoseconds) / 1e9
            switch message.code {
            case .success, .noSuchName:
                self.note(turn) { $0.answered(index, afterSeconds: seconds) }
                return loop.makeSucceededFuture(message)
            case .formatError, .notImplemented:
                if isPlain { break }
                self.note(turn) { $0.spokePlainly(index) }
                return self.attempt(key, turn.then([index] + rest), on: loop)
            default: break
            }
            // It is alive, but of no use for this question: REFUSED, SERVFAIL and the like.
            self.note(turn) { $0.answered(index, afterSeconds: seconds) }
            let others = rest.filter { $0 != index }
            return others.isEmpty
                ? loop.makeSucceededFuture(message) : self.attempt(key, turn.then(others[...]), on: loop)
        }.flatMapError { error in
            self.note(turn) { $0.failed(index, now: Self.now) }
            return self.attempt(key, turn.then(rest), on: loop)
        }
    }

    static var now: Int64 { Int64(NIODeadline.now().uptimeNanoseconds / 1_000_000) }
}
