// Runs one pod's machine: hands it what happened, has done what it asks for, and writes its status.

import Formats
import Logging
import Objects
import Timing

/// The task of one pod.
final class PodWorker: Sendable {
    /// After a status could not be written.
    static let statusRetry = Backoff(initial: .milliseconds(200), limit: .seconds(10))

    let inbox = PodInbox()
    /// Opens when the worker has nothing left to do for ever.
    let finished = Gate()
    private let pod: Object
    private let node: NodeSurroundings

    init(_ pod: Object, _ node: NodeSurroundings) {
        self.pod = pod
        self.node = node
    }

    /// Works until the pod is gone, the node stops, or the task is cancelled (then everything stays as it is).
    func run() async {
        var machine = PodMachine(pod, at: node.clock.now())
        await withDiscardingTaskGroup { group in
            var writing = StatusWriting()
            var isNodeStopping = false
            var deadline: Timestamp?
            var watch = ClockWatch()
            let began = ContinuousClock.now
            while !Task.isCancelled {
                let letters = await inbox.take(until: instant(of: [deadline, writing.retryAt]))
                if Task.isCancelled { break }
                let now = node.clock.now()
                if let step = watch.looked(wall: now, steady: ContinuousClock.now - began) {
                    machine.clockMoved(by: step)
                    writing.clockMoved(by: step)
                }
                isNodeStopping = isNodeStopping || letters.isNodeStopping
                tell(&machine, letters, now)
                let deeds = PodDeeds(node, machine.specification)
                for case .statusWritten(let failure) in letters.results { writing.written(failure, at: now) }
                let actions = machine.actions(at: now)
                if machine.observedSandbox != nil {
                    let status = machine.refreshStatus(hostAddress: node.configuration.nodeAddress, at: now)
                    writing.wanted = status
                }
                // The last status goes out with the deletion, in order.
                if !actions.contains(.deletePod), let status = writing.begin(at: now) {
                    group.addTask { await self.post(deeds.writeStatus(status)) }
                }
                for action in actions { begin(action, machine, deeds, writing.wanted, &group) }
                if machine.isGone || isNodeStopping && machine.isAtRest { break }
                deadline = machine.nextDeadline(after: now)
            }
            group.cancelAll()
        }
        if machine.isForgotten { PodDeeds(node, machine.specification).forget() }
        finished.open()
    }

    private func tell(_ machine: inout PodMachine, _ letters: PodLetters, _ now: Timestamp) {
        switch letters.sight {
        case .shown(let pod): machine.podChanged(pod, at: now)
        case .vanished: machine.podVanished(at: now)
        case nil: break
        }
        if letters.isNodeStopping { machine.nodeStopped(at: now) }
        if let observation = letters.observation { machine.observed(observation, at: now) }
        for result in letters.results {
            switch result {
            case .sandboxStarted(let result): machine.sandboxStarted(result, at: now)
            case .containerStarted(let name, let failure): machine.containerStarted(name, failure: failure, at: now)
            case .containerStopped(let name): machine.containerStopped(name, at: now)
            case .resizeJudged(let containers, let verdict): machine.resizeJudged(containers, verdict, at: now)
            case .containerResized(let name, let resources, let failure):
                machine.containerResized(name, to: resources, failure: failure, at: now)
            case .evicted(let message): machine.evicted(message: message, at: now)
            case .probed(let container, let id, let kind, let result):
                machine.probed(container: container, id: id, kind: kind, result, at: now)
            case .proxyWithdrew: machine.proxyWithdrew()
            case .sandboxRemoved(let failure): machine.sandboxRemoved(failure: failure, at: now)
            case .podDeleted(let failure): machine.podDeleted(failure: failure, at: now)
            case .statusWritten: break
            }
        }
    }

    private func begin(
        _ action: PodAction, _ machine: PodMachine, _ deeds: PodDeeds, _ status: JSON?,
        _ group: inout DiscardingTaskGroup
    ) {
        let pod = machine.pod
        let address = machine.address ?? ""
        switch action {
        case .startSandbox(let isAdopted):
            group.addTask { await self.post(deeds.startSandbox(pod, isAdopted: isAdopted)) }
        case .startContainer(let name, let attempt, let replaced):
            group.addTask {
                await self.post(
                    deeds.startContainer(pod, name, attempt: attempt, replacing: replaced, address: address))
            }
        case .stopContainer(let name, let id, let grace):
            group.addTask { await self.post(deeds.stopContainer(pod, name, id: id, grace: grace, address: address)) }
        case .judgeResize(let containers):
            post(deeds.judgeResize(containers))
        case .resizeContainer(let name, let id, let resources):
            group.addTask { await self.post(deeds.resizeContainer(name, id: id, to: resources)) }
        case .removeContainer(let id):
            group.addTask { await deeds.removeContainer(id: id) }
        case .probe(let name, let id, let kind):
            group.addTask { await self.post(deeds.probe(name, id: id, kind: kind, address: address)) }
        case .awaitWithdrawal(let address):
            group.addTask { await self.post(deeds.awaitWithdrawal(address)) }
        case .removeSandbox:
            group.addTask { await self.post(deeds.removeSandbox()) }
        case .deletePod:
            group.addTask {
                if let status { _ = await deeds.writeStatus(status) }
                await self.post(deeds.deletePod())
            }
        case .report(let event):
            deeds.report(pod, event)
        }
    }

    private func post(_ result: PodResult) {
        inbox.post { $0.results.append(result) }
    }

    /// The earliest of these times of day on the clock that waiting goes by.
    private func instant(of times: [Timestamp?]) -> ContinuousClock.Instant? {
        guard let earliest = times.compactMap({ $0 }).min() else { return nil }
        return .now + max(earliest - node.clock.now(), .zero)
    }
}

/// Which status is written, which is wanted, and when to try again; one write is under way at a time.
struct StatusWriting: Sendable {
    var wanted: JSON?
    private var written: JSON?
    private var underWay: JSON?
    private var failures = 0
    private(set) var retryAt: Timestamp?

    /// The status to be written now, if any; it counts as under way.
    mutating func begin(at now: Timestamp) -> JSON? {
        guard underWay == nil, let wanted, wanted != written else { return nil }
        if let retryAt, retryAt > now { return nil }
        retryAt = nil
        underWay = wanted
        return wanted
    }

    /// The time of day was moved; what is waited for moves along.
    mutating func clockMoved(by step: Duration) { retryAt = retryAt.map { $0 + step } }

    /// The write under way came to its end. A pod that is not there any more needs no status.
    mutating func written(_ failure: Problem?, at now: Timestamp) {
        let status = underWay
        underWay = nil
        if failure == nil || failure?.reason == .notFound || failure?.reason == .conflict {
            written = status
            failures = 0
        } else {
            failures += 1
            retryAt = now + PodWorker.statusRetry.delay(afterFailures: failures)
        }
    }
}
