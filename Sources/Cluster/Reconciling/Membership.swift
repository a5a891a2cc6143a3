// A group of replicas: this one's own Lease, and the view of the others.

import Client
import Logging
import Objects
import Synchronization

/// Membership of a group of replicas of one program, each of which has a Lease in the same namespace, and one of which
/// leads.
///
/// Needs `run()` to be running. At the end the leader's Lease is given back; the member's says that it has left.
package final class Membership: Sendable {
    /// On the Leases of members: who they are.
    package static let memberLabel = "mangrove.dev/replica"

    package let identity: String
    private let leases: Informer
    private let own: LeaseHolder
    private let leader: LeaseHolder
    private let machine: Mutex<MembershipMachine>
    private let began = ContinuousClock.now

    /// `group` names the group; the Leases are `<group>` and `<group>-<identity>`.
    package init(
        client: KubernetesClient, namespace: String, group: String, identity: String,
        timing: LeaseTiming = LeaseTiming(),
        grace: Duration, logger: Logger
    ) {
        self.identity = identity
        machine = Mutex(MembershipMachine(grace: grace))
        leases = Informer(
            client: client, resource: .leases, selection: Selection(namespace: namespace, labels: Self.memberLabel),
            logger: logger)
        var mine = LeaseMachine(
            key: ObjectKey(namespace: namespace, name: "\(group)-\(identity)"), identity: identity, timing: timing)
        mine.labels = [Self.memberLabel: identity]
        own = LeaseHolder(client: client, machine: mine, logger: logger)
        leader = LeaseHolder(
            client: client,
            machine: LeaseMachine(
                key: ObjectKey(namespace: namespace, name: group), identity: identity, timing: timing),
            logger: logger)
        leases.onChange { [self] change in
            guard let member = change.latest?.labels[Self.memberLabel] else { return }
            machine.withLock { $0.changed(member, to: change.new, now: now) }
        }
    }

    private var now: Duration { ContinuousClock.now - began }

    /// Whether this replica does what must be done once.
    package var isLeading: Bool { leader.isHolding }

    /// Adds an observer that is told when leading begins and ends; call it before `run()`.
    package func onLeading(_ observer: @escaping @Sendable (Bool) -> Void) { leader.onChange(observer) }

    /// The replicas that live now, this one among them.
    package var living: Set<String> { machine.withLock { $0.living(now: now) }.union([identity]) }

    /// Whether what a replica left behind may be taken away: it was silent for its Lease and the grace. A replica
    /// without a Lease is given the grace from the first time that it is asked about. Never true of this one.
    package func isForgotten(_ member: String) -> Bool {
        guard member != identity, leases.isSynced else { return false }
        return machine.withLock { machine in
            machine.found(member, now: now)
            return machine.isForgotten(member, now: now)
        }
    }

    /// Returns when this replica's own Lease is written and the others' are known.
    package func waitUntilSynced() async throws {
        try await leases.waitUntilSynced()
        while !own.isHolding { try await Task.sleep(for: .milliseconds(50)) }
    }

    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.leases.run() }
            group.addTask { await self.own.run() }
            group.addTask { await self.leader.run() }
            await group.waitForAll()
        }
    }
}
