// Takes leaving pods out of the catalogue and says when every consumer has acknowledged.

import Catalogue
import Client
import Formats
import Logging
import Objects
import Reconciling
import Synchronization

/// Watches pods. The moment one gets a deletion timestamp, everything at its address is withdrawn from the catalogue;
/// when no consumer is outstanding any more, the pod gets the condition `mangrove.dev/Withdrawn`, which the node agent
/// waits for before it stops the pod. Needs `run()` to be running.
package final class WithdrawalController: Sendable {
    /// Pods that are waited for at the same time; further ones take turns.
    static let workers = 64
    /// A wait is looked at again after this long, in case the pod went away meanwhile.
    static let turn: Duration = .seconds(1)

    private static let addressIndex = "address"

    private let client: KubernetesClient
    private let catalogue: ServiceCatalogue
    private let clock: Reconciling.WallClock
    private let logger: Logger
    private let pods: Informer
    private let recorder: EventRecorder
    private let machine = Mutex(WithdrawalMachine())
    private let membership: Membership?
    private let started = ContinuousClock.now

    /// With a `membership`, each replica says of each leaving pod when its own consumers have acknowledged, and the
    /// leader writes the condition when all that live have said so.
    package init(
        client: KubernetesClient, catalogue: ServiceCatalogue, membership: Membership? = nil,
        clock: Reconciling.WallClock = .system, logger: Logger
    ) {
        self.membership = membership
        self.client = client
        self.catalogue = catalogue
        self.clock = clock
        self.logger = logger
        recorder = EventRecorder(client: client, component: "rollouts", clock: clock, logger: logger)
        pods = Informer(
            client: client, resource: .pods,
            indexes: [Self.addressIndex: { WithdrawalMachine.address(of: $0).map { [$0] } ?? [] }], logger: logger)
    }

    /// Works until cancelled.
    package func run() async throws {
        let reconciler = Reconciler<ObjectKey>(name: "withdrawals", workers: Self.workers, logger: logger) {
            [self] key in
            try await reconcile(key)
        }
        pods.onChange { [self] change in
            for address in Set([change.old, change.new].compactMap { $0.flatMap(WithdrawalMachine.address(of:)) }) {
                follow(address)
            }
            if let old = change.old, old.uid != change.new?.uid { machine.withLock { $0.vanished(uid: old.uid) } }
            if change.new?.isTerminating == true { reconciler.enqueue(change.key) }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.pods.run() }
            group.addTask { await reconciler.run() }
            group.addTask { await self.recorder.run() }
            await group.waitForAll()
        }
    }

    private var sinceStart: Duration { ContinuousClock.now - started }

    /// Brings the catalogue's withdrawals in line with the pods at an address.
    private func follow(_ address: String) {
        if WithdrawalMachine.isWithdrawn(pods.indexed(Self.addressIndex, address)) {
            let holders = Set(catalogue.withdraw(address: address).map(\.subscriber))
            if !holders.isEmpty { machine.withLock { $0.withdrew(address, usedBy: holders, now: sinceStart) } }
        } else {
            catalogue.liftWithdrawal(address: address)
            machine.withLock { $0.lifted(address) }
        }
    }

    private func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let pod = pods.get(key) else { return .done }
        // Before every source is in, nobody outstanding may only mean that nobody is known yet.
        guard catalogue.isComplete else { return .again(after: .milliseconds(100)) }
        let address = WithdrawalMachine.address(of: pod)
        let outstanding = Set((address.map { catalogue.outstanding(address: $0) } ?? []).map(\.subscriber))
        let now = sinceStart
        switch machine.withLock({ $0.looked(at: pod, outstanding: outstanding, now: now) }) {
        case .nothing: return .done
        case .wait:
            guard let address, !outstanding.isEmpty else {
                return .again(after: max(.milliseconds(10), WithdrawalMachine.reconnectAllowance - now))
            }
            await waitForTurn(address)
            return .again(after: .zero)
        case .acknowledge(let reason, let message):
            return try await acknowledge(pod, reason: reason, message: message)
        }
    }

    /// Waits until the address is acknowledged, at most for one turn.
    private func waitForTurn(_ address: String) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.catalogue.waitUntilAcknowledged(address: address) }
            group.addTask { try? await Task.sleep(for: Self.turn) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Says that this replica's consumers have acknowledged. Returns whether this one leads and all others have said so
    /// too.
    private func acknowledged(_ pod: Object, for membership: Membership) async throws -> Bool {
        let mark = WithdrawalMachine.replicaAnnotation(membership.identity)
        if pod.annotations[mark] != pod.uid {
            let patch: JSON = ["metadata": ["uid": .string(pod.uid), "annotations": [mark: .string(pod.uid)]]]
            do {
                _ = try await client.patch(.pods, pod.key, .merge, patch)
            } catch let problem as Problem where problem.code == 404 {
                return false
            }
        }
        return membership.isLeading
            && membership.living.subtracting([membership.identity]).allSatisfy {
                pod.annotations[WithdrawalMachine.replicaAnnotation($0)] == pod.uid
            }
    }

    private func acknowledge(_ pod: Object, reason: String, message: String) async throws -> Outcome {
        if let membership {
            guard try await acknowledged(pod, for: membership) else { return .again(after: Self.turn) }
        }
        let patch = WithdrawalMachine.patch(pod, reason: reason, message: message, time: clock.now())
        do {
            try await client.patch(.pods, pod.key, .strategicMerge, patch, subresource: "status")
        } catch let problem as Problem where problem.code == 404 {
            return .done
        }
        recorder.record(pod, .normal, reason: "Withdrawn", message: message)
        logger.info("withdrawal acknowledged", metadata: ["pod": "\(pod.key)", "message": "\(message)"])
        return .done
    }
}
