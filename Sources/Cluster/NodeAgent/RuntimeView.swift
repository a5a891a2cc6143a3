// Looks at the runtime, after its events and on request, and tells every pod's inbox what it sees.

import ContainerRuntimes
import Formats
import Logging
import Objects
import Reconciling
import Synchronization
import Timing

/// The one place that lists the runtime, so that nobody acts on an older list after a newer one.
final class RuntimeView: Sendable {
    /// Events may be lost with the process that sends them: look anew this often.
    static let relistSeconds = 10
    static let retrySeconds = 1

    private struct State {
        var inboxes: [String: PodInbox] = [:]
        var shown: [String: PodObservation] = [:]
        var waiting: [Gate] = []
    }

    private let runtime: any ContainerRuntime
    private let messages: TerminationMessages
    private let logger: Logger
    private let state = Mutex(State())
    private let signal = Signal()

    init(runtime: any ContainerRuntime, messages: TerminationMessages, logger: Logger) {
        self.runtime = runtime
        self.messages = messages
        self.logger = logger
    }

    /// From now on this inbox gets the observations of the pod, the first one soon.
    func add(_ inbox: PodInbox, uid: String) {
        state.withLock { state in
            state.inboxes[uid] = inbox
            state.shown[uid] = nil
        }
        signal.raise()
    }

    func remove(uid: String) {
        state.withLock { state in
            state.inboxes[uid] = nil
            state.shown[uid] = nil
        }
    }

    /// Returns when a list that began after this call has been told to the inboxes.
    func refresh() async {
        let gate = Gate()
        state.withLock { $0.waiting.append(gate) }
        signal.raise()
        try? await gate.wait()
    }

    /// Listens to the runtime's events until cancelled.
    func listen() async {
        while !Task.isCancelled {
            _ = await runtime.nextEvents()
            signal.raise()
        }
    }

    /// Lists whenever there is cause, until cancelled.
    func run() async {
        while !Task.isCancelled {
            let waiting = state.withLock { state in
                defer { state.waiting = [] }
                return state.waiting
            }
            do {
                try await look()
                for gate in waiting { gate.open() }
                await signal.wait(until: .now + .seconds(Self.relistSeconds))
            } catch {
                logger.warning("cannot look at the container runtime", metadata: ["error": "\(error)"])
                state.withLock { $0.waiting += waiting }
                try? await Task.sleep(for: .seconds(Self.retrySeconds))
            }
        }
    }

    private func look() async throws(Problem) {
        let sandboxes = try await runtime.sandboxes()
        let containers = try await runtime.containers()
        var seen: [String: PodObservation] = [:]
        for sandbox in sandboxes {
            seen[sandbox.id] = PodObservation(sandbox: sandbox.state == .ready ? .ready : .broken)
        }
        for container in containers {
            seen[container.sandboxID, default: PodObservation(sandbox: .absent)].containers
                .append(record(container))
        }
        let news = state.withLock { state in
            var news: [(PodInbox, PodObservation)] = []
            for (uid, inbox) in state.inboxes {
                let observation = seen[uid] ?? PodObservation(sandbox: .absent)
                if state.shown[uid] != observation {
                    state.shown[uid] = observation
                    news.append((inbox, observation))
                }
            }
            return news
        }
        for (inbox, observation) in news { inbox.post { $0.observation = observation } }
    }
}

extension RuntimeView {
    /// The run with what it said of its end.
    private func record(_ status: ContainerStatus) -> ContainerRecord {
        var record = ContainerRecord(status)
        if record.phase == .ended, record.message.isEmpty { record.message = messages.message(of: status) }
        return record
    }
}

extension ContainerRecord {
    /// The run as the runtime shows it.
    init(_ status: ContainerStatus) {
        let phase: Phase =
            switch status.state {
            case .created: .created
            case .running: .running
            case .exited: .ended
            }
        // Plain exits carry no reason of their own; what the exit code says is rendered with the status.
        let isPlain = status.reason == ContainerStatus.reason(exitCode: status.exitCode)
        self.init(
            id: status.id, name: status.name, attempt: status.attempt, phase: phase,
            startedAt: Timestamp(nanosecondsSinceEpoch: status.startedAt),
            finishedAt: Timestamp(nanosecondsSinceEpoch: status.finishedAt), exitCode: Int(status.exitCode),
            reason: isPlain ? "" : status.reason, message: status.message)
    }
}

extension Timestamp {
    /// Nil for 0, by which the runtime says that something has not happened.
    init?(nanosecondsSinceEpoch total: Int64) {
        guard total > 0 else { return nil }
        self.init(secondsSinceEpoch: total / 1_000_000_000, nanoseconds: Int32(total % 1_000_000_000))
    }
}
