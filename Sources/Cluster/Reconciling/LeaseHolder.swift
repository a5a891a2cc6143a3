// Holds a Lease for as long as it can, and says whether it does.

import Client
import Logging
import Objects
import Synchronization

/// A candidate for a Lease: takes it when it is free, renews it, and gives it back at the end.
///
/// Promises: at most one candidate with different identities `isHolding` at a time, as far as clocks run equally fast;
/// nobody is told that it holds after the deadline has passed, whatever its calls are waiting for.
package final class LeaseHolder: Sendable {
    private let client: KubernetesClient
    private let machine: Mutex<LeaseMachine>
    private let clock: WallClock
    private let logger: Logger
    private let began = ContinuousClock.now
    private let observers = Mutex<[@Sendable (Bool) -> Void]>([])

    package init(client: KubernetesClient, machine: LeaseMachine, clock: WallClock = .system, logger: Logger) {
        self.client = client
        self.machine = Mutex(machine)
        self.clock = clock
        self.logger = logger
    }

    package var isHolding: Bool { machine.withLock { $0.isHolding(now: ContinuousClock.now - began) } }

    /// Adds an observer that is told when holding begins and ends; call it before `run()`.
    package func onChange(_ observer: @escaping @Sendable (Bool) -> Void) { observers.withLock { $0.append(observer) } }

    /// Tries and renews until cancelled; then gives the Lease back.
    package func run() async {
        let timing = machine.withLock { $0.timing }
        var told = false
        while !Task.isCancelled {
            await tryOnce()
            told = tell(told)
            // A jitter keeps candidates from coming all at once; holders come punctually.
            let factor = told ? 1 : Double.random(in: 1..<2.2)
            try? await Task.sleep(for: timing.retry * factor)
            told = tell(told)
        }
        if told { for observer in observers.withLock({ $0 }) { observer(false) } }
        // The task is cancelled by now, and the last write still has to go out; it is waited for.
        await Task { await self.release() }.value
    }

    private func tell(_ told: Bool) -> Bool {
        let holds = isHolding
        guard holds != told else { return told }
        let name = machine.withLock { $0.key }
        logger.info(holds ? "holds the lease" : "does not hold the lease any more", metadata: ["lease": "\(name)"])
        for observer in observers.withLock({ $0 }) { observer(holds) }
        return holds
    }

    private func tryOnce() async {
        let (key, timing) = machine.withLock { ($0.key, $0.timing) }
        do {
            // A call that hangs must not keep the next from being tried.
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.acquireOrRenew(key) }
                group.addTask {
                    try await Task.sleep(for: timing.renewDeadline)
                    throw Problem(.timeout, "the lease could not be written in time")
                }
                try await group.next()
                group.cancelAll()
            }
        } catch let problem as Problem where problem.code == 409 {
            logger.debug("another was quicker", metadata: ["lease": "\(key)"])
        } catch {
            if !Task.isCancelled {
                logger.warning("the lease is out of reach", metadata: ["lease": "\(key)", "error": "\(error)"])
            }
        }
    }

    private func acquireOrRenew(_ key: ObjectKey) async throws {
        var current: Object?
        do {
            current = try await client.get(.leases, key)
        } catch let problem as Problem where problem.code == 404 {
            current = nil
        }
        // The deadline counts from before the write: that is when others may have begun to count.
        let began = ContinuousClock.now - began
        let found = current
        let step = machine.withLock { $0.read(found, now: began, time: clock.now()) }
        let written: Object
        switch step {
        case .wait: return
        case .create(let lease): written = try await client.create(.leases, lease)
        case .update(let lease): written = try await client.update(.leases, lease)
        }
        machine.withLock { $0.written(written, now: began) }
    }

    private func release() async {
        let key = machine.withLock { $0.key }
        do {
            let lease = try await client.get(.leases, key)
            let changed = machine.withLock { $0.released(lease, time: clock.now()) }
            if let changed { try await client.update(.leases, changed) }
        } catch {
            logger.debug("the lease was not given back", metadata: ["lease": "\(key)", "error": "\(error)"])
        }
    }
}
