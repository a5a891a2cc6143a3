// The machines behind the pushes: what is sent, what is awaited, and who counts as gone.

import Catalogue
import Configurations
import Synchronization
import Testing

@testable import NacosServer
@testable import RegistrySync

@Suite struct PushMachineTests {
    private let orders = PushSubject.service(ServiceName(name: "orders"))
    private let start = ContinuousClock.now

    @Test func changesAreCoalescedAndAnswered() {
        var machine = PushMachine()
        machine.changed(orders)
        machine.changed(orders)
        #expect(machine.takeStep() == .push(orders, again: false))
        #expect(machine.takeStep() == nil)
        let id = machine.pushed(orders, version: 7, now: start)
        #expect(machine.answered(requestID: id + 1) == nil)
        let answer = machine.answered(requestID: id)
        #expect(answer?.subject == orders && answer?.version == 7)
        machine.timePassed(now: start + .seconds(60))
        #expect(machine.takeStep() == nil)
    }

    @Test func aNewerPushTakesTheOlderOnesPlace() {
        var machine = PushMachine()
        let first = machine.pushed(orders, version: 7, now: start)
        let second = machine.pushed(orders, version: 8, now: start)
        #expect(machine.answered(requestID: first) == nil)
        #expect(machine.answered(requestID: second)?.version == 8)
    }

    @Test func silenceIsAskedAgainThenLost() {
        var machine = PushMachine()
        var now = start
        machine.changed(orders)
        #expect(machine.takeStep() == .push(orders, again: false))
        for _ in 1..<PushMachine.attemptLimit {
            _ = machine.pushed(orders, version: 7, now: now)
            now += PushMachine.answerPatience
            machine.timePassed(now: now)
            #expect(machine.takeStep() == .push(orders, again: true))
        }
        _ = machine.pushed(orders, version: 7, now: now)
        machine.timePassed(now: now + PushMachine.answerPatience)
        #expect(machine.takeStep() == .lost)
    }

    @Test func whatIsForgottenIsNotSentAndWhatNeedsNoAnswerIsNotAwaited() {
        var machine = PushMachine()
        machine.changed(orders)
        machine.changed(.abilities)
        machine.forgot(orders)
        #expect(machine.takeStep() == .push(.abilities, again: false))
        _ = machine.pushed(.abilities, version: 0, now: start)
        machine.timePassed(now: start + .seconds(60))
        #expect(machine.takeStep() == nil && !machine.hasStep)
    }
}

@Suite struct FuzzyWatchTests {
    private func added(_ keys: String...) -> [FuzzyWatch.Change] { keys.map { .init(key: $0, isAdded: true) } }

    @Test func theFirstPictureIsToldThenItsEndThenChanges() {
        var watch = FuzzyWatch(received: [], matching: ["a", "b"], isInitializing: true)
        #expect(watch.takeSync(again: false) == .first(added("a", "b")))
        #expect(watch.takeSync(again: false) == nil)
        #expect(watch.takeSync(again: true) == .first(added("a", "b")))
        watch.answered()
        #expect(watch.takeSync(again: false) == .firstEnded)
        watch.answered()
        watch.changed("a", exists: true)
        #expect(!watch.hasSync)
        watch.changed("a", exists: false)
        #expect(watch.takeSync(again: false) == .later([.init(key: "a", isAdded: false)]))
    }

    @Test func whoComesAgainHearsOnlyTheDifference() {
        var watch = FuzzyWatch(received: ["a", "gone"], matching: ["a", "b"], isInitializing: false)
        #expect(watch.takeSync(again: false) == .later(added("b") + [.init(key: "gone", isAdded: false)]))
        watch.answered()
        #expect(watch.takeSync(again: false) == nil)
    }

    @Test func whatCameAndWentUntoldIsNotTold() {
        var watch = FuzzyWatch(received: [], matching: [], isInitializing: false)
        watch.changed("a", exists: true)
        watch.changed("a", exists: false)
        #expect(!watch.hasSync)
    }

    @Test func manyAreToldInParts() {
        let keys = Set((0..<250).map(String.init))
        var watch = FuzzyWatch(received: [], matching: keys, isInitializing: true)
        var told: Set<String> = []
        while case .first(let changes)? = watch.takeSync(again: false) {
            #expect(changes.count <= FuzzyWatch.batchLimit)
            told.formUnion(changes.map(\.key))
            watch.answered()
        }
        #expect(told == keys)
    }

    @Test(arguments: [
        ("public>>*>>*", "default", "G", "anything", true), ("public>>G>>or*", "default", "G", "orders", true),
        ("public>>G>>*ers", "default", "G", "orders", true), ("public>>G>>*rde*", "default", "G", "orders", true),
        ("public>>G>>orders", "default", "H", "orders", false), ("shop>>*>>*", "default", "G", "orders", false),
    ])
    func patterns(_ text: String, _ namespace: String, _ group: String, _ name: String, _ matches: Bool) throws {
        #expect(try FuzzyPattern(parsing: text).matches(namespace: namespace, group: group, name: name) == matches)
    }

    @Test(arguments: ["", "a", "a>>b", ">>>>", "a>>b>>c>>d"])
    func brokenPatternsAreRefused(_ text: String) {
        #expect(throws: NacosProblem.self) { try FuzzyPattern(parsing: text) }
    }
}

@Suite struct DatagramMachineTests {
    private let start = ContinuousClock.now
    private let orders = ServiceName(name: "orders")

    private func follower(port: Int = 5_000) -> DatagramMachine.Follower {
        DatagramMachine.Follower(
            client: DatagramClient(address: "10.0.0.1", port: port, listener: "0.0.0.0"), service: orders,
            subscriber: SubscriberID("s\(port)"), selection: ServiceSelection())
    }

    @Test func aFollowerIsToldAndAcknowledges() {
        var machine = DatagramMachine()
        #expect(machine.asked(follower(), now: start) == true)
        #expect(machine.changed(orders) == [.send(follower(), again: false)])
        #expect(machine.changed(ServiceName(name: "other")).isEmpty)
        machine.sent(follower(), version: 9, now: start)
        #expect(machine.answered(address: "10.0.0.2", port: 5_000, version: 9) == nil)
        #expect(machine.answered(address: "10.0.0.1", port: 5_000, version: 8) == nil)
        #expect(machine.answered(address: "10.0.0.1", port: 5_000, version: 9) == follower())
        #expect(machine.timePassed(now: start + .seconds(6)).isEmpty)
    }

    @Test func silenceIsToldAgainAFewTimesAndThenEnds() {
        var machine = DatagramMachine()
        #expect(machine.asked(follower(), now: start) == true)
        var now = start
        for _ in 1..<DatagramMachine.attemptLimit {
            machine.sent(follower(), version: 9, now: now)
            now += DatagramMachine.answerPatience
            #expect(machine.timePassed(now: now) == [.send(follower(), again: true)])
        }
        machine.sent(follower(), version: 9, now: now)
        #expect(machine.timePassed(now: now + DatagramMachine.answerPatience).isEmpty)
        #expect(machine.timePassed(now: start + DatagramMachine.patience) == [.ended(follower())])
        #expect(machine.count == 0)
    }

    @Test(arguments: [
        ("Nacos-Java-Client:v1.4.2", true), ("Nacos-Go-Client:v1.0.1", true), ("Nacos-CSharp-Client:v0.8.0", false),
        ("Nacos-Python-Client:v1.0.0", false), ("", false), ("Nacos-Java-Client", false),
    ])
    func agents(_ agent: String, _ canPush: Bool) { #expect(PushableAgents.canPush(to: agent) == canPush) }
}

@Suite struct ConfigPollingTests {
    @Test func readsAndWritesWhatClientsDo() throws {
        let items = try ListeningConfigs.items(parsing: "a.yaml\u{2}G\u{2}m\u{2}shop\u{1}b\u{2}H\u{2}\u{1}")
        #expect(
            items.map(\.name) == [
                ConfigName(namespace: "shop", group: "G", dataID: "a.yaml"),
                ConfigName(namespace: "default", group: "H", dataID: "b"),
            ])
        #expect(items.map(\.md5) == ["m", ""])
        #expect(ListeningConfigs.answer(items) == "a.yaml%02G%02shop%01b%02H%01")
        for broken in ["", "\u{1}", "a\u{2}b", "a\u{2}b\u{2}c\u{2}d\u{2}e"] {
            #expect(throws: NacosProblem.self) { try ListeningConfigs.items(parsing: broken) }
        }
    }

    @Test func aPollIsHeldLessThanTheClientWaitsAndNeitherTooShortNorTooLong() {
        #expect(ConfigPolling.hold(forMilliseconds: 30_000) == .milliseconds(29_500))
        #expect(ConfigPolling.hold(forMilliseconds: 1) == ConfigPolling.shortestHold)
        #expect(ConfigPolling.hold(forMilliseconds: .max) == ConfigPolling.longestHold)
    }

    @Test func aPollEndsWithTheChangeItWaitsFor() async {
        let polling = ConfigPolling()
        let name = ConfigName(namespace: "default", dataID: "a")
        let item = ListenedItem(name: name, tenant: nil, group: name.group, md5: "old")
        let isStale = Signal()
        async let found = polling.wait(for: [name], hold: .seconds(60)) { isStale.isRaised ? [item] : [] }
        isStale.raise()
        // The wait may not have begun; whoever comes later sees the change by itself.
        polling.changed(.names([name]))
        #expect(await found == [item])
    }
}

@Suite struct MappingMergeTests {
    @Test(
        arguments: [
            (nil, "a", nil, "a"), (nil, nil, "b", "b"), (nil, "a", "b", "a,b"), ("a", "a,b", "a", "a,b"),
            ("a", "a", "a,c", "a,c"), ("a", "a,b", "a,c", "a,b,c"), ("a,b", "a", "a,b,c", "a,c"), ("a", nil, "a", nil),
            ("a", nil, "a,b", "b"), (nil, nil, nil, nil),
        ] as [(String?, String?, String?, String?)])
    func bothSidesCount(_ base: String?, _ left: String?, _ right: String?, _ expected: String?) {
        #expect(MappingMerge.merged(base: base, left, right) == expected)
    }
}

/// Raised once.
private final class Signal: Sendable {
    private let raised = Mutex(false)
    var isRaised: Bool { raised.withLock { $0 } }
    func raise() { raised.withLock { $0 = true } }
}
