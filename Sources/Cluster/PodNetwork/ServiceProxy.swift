// Makes service addresses work: watches Services and EndpointSlices and keeps the kernel's rules equal to them.

import Client
import Logging
import Objects
import Reconciling
import Synchronization
import Timing

/// The service proxy of one machine.
///
/// Each change of the picture becomes at most one atomic replacement of one nftables table, and none when the text is
/// the same. Established connections are not touched. Rules stay when the process ends, so that a restart interrupts
/// nothing; `remove` takes them away. Needs a started `RoutedNetwork`, and is removed before it.
package final class ServiceProxy: Sendable {
    static let backoff = Backoff(initial: .milliseconds(200), limit: .seconds(30))
    /// How long an address that was just left is still on its own: connections that the old rules let through are
    /// accepted and, unless they take long, answered by then.
    static let settling = Duration.milliseconds(300)
    /// Names of chains and sets that are read at most, of an earlier process' rules.
    static let listingLimitBytes = 16 * 1024 * 1024

    private struct State {
        var machine = RulesetMachine()
        var continuations: [RulesetMachine.Waiter: CheckedContinuation<Void, Never>] = [:]
        var haveFlowsBeenReported = false
    }

    private let services: Informer
    private let slices: Informer
    private let pods: Informer
    private let nodeName: String
    private let balancer: LoadBalancerStatus
    private let serviceRange: AddressRange
    private let podRange: AddressRange
    private let logger: Logger
    private let changed = Signal()
    private let state = Mutex(State())

    package init(
        client: KubernetesClient, serviceCIDR: String = "10.96.0.0/12", podCIDR: String = "10.88.0.0/16",
        nodeName: String = "", nodeAddress: String = "", logger: Logger
    ) throws(Problem) {
        guard let serviceRange = AddressRange(serviceCIDR) else {
            throw Problem(.invalid, "\"\(serviceCIDR)\" is no IPv4 range")
        }
        guard let podRange = AddressRange(podCIDR) else { throw Problem(.invalid, "\"\(podCIDR)\" is no IPv4 range") }
        self.nodeName = nodeName
        balancer = LoadBalancerStatus(client: client, address: nodeAddress, logger: logger)
        self.serviceRange = serviceRange
        self.podRange = podRange
        self.logger = logger
        services = Informer(client: client, resource: .services, logger: logger)
        slices = Informer(client: client, resource: .endpointSlices, logger: logger)
        pods = Informer(
            client: client, resource: .pods, selection: Selection(fields: "spec.nodeName=\(nodeName)"), logger: logger)
        services.onChange { [changed] _ in changed.raise() }
        pods.onChange { [changed] change in
            if HostPorts.of([change.old, change.new].compactMap { $0 }).isEmpty { return }
            changed.raise()
        }
        slices.onChange { [changed] _ in changed.raise() }
    }

    /// Keeps the rules true until cancelled. Throws one Problem when root or a program is missing; whoever waits for a
    /// withdrawal is released then, because nothing is sent anywhere.
    package func run() async throws {
        let tools: NetworkTools
        do {
            tools = try NetworkTools.found()
        } catch {
            stopped()
            throw error
        }
        state.withLock { $0.machine.proxyStarted() }
        defer { stopped() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.services.run() }
            group.addTask { await self.slices.run() }
            if !self.nodeName.isEmpty { group.addTask { await self.pods.run() } }
            group.addTask { try await self.balancer.run(self.services) }
            group.addTask { try await self.keepTrue(tools) }
            try await group.next()
            group.cancelAll()
        }
    }

    /// Returns once an applied ruleset sends no new connection to this address and the last ones that came are settled
    /// (`settling`), or the task is cancelled. Connections that are there already stay, as with kube-proxy: to end them
    /// in order is the program's affair when it is told to stop.
    ///
    /// Asking also ends the address's turn as a last resort: when no endpoint of a service is ready, new connections go
    /// to endpoints that terminate and still serve, except to those that were asked about. Returns at once when the
    /// address is no IPv4 address, and when `run` has ended.
    package func waitUntilWithdrawn(address text: String) async {
        guard let address = IPv4Address(text) else { return }
        let asked = state.withLock { $0.machine.withdrawalAsked(of: address) }
        guard case .wait(let waiter) = asked else {
            if asked == .refused {
                logger.error("too many wait for withdrawals", metadata: ["limit": "\(RulesetMachine.waiterLimit)"])
            }
            return
        }
        changed.raise()
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    guard !Task.isCancelled, state.machine.waiting[waiter] != nil else { return true }
                    state.continuations[waiter] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let continuation = state.withLock { state in
                state.machine.waiterLeft(waiter)
                return state.continuations.removeValue(forKey: waiter)
            }
            continuation?.resume()
        }
        try? await Task.sleep(for: Self.settling)
    }

    /// Whether the kernel was given rules by this process.
    var hasApplied: Bool { state.withLock { $0.machine.applied != nil } }

    /// Applies the rules anew, because the kernel does not have them any more.
    func reapply() {
        state.withLock { $0.machine.rulesLost() }
        changed.raise()
    }

    /// Takes the rules and the route to the service range out of the kernel, also those of an earlier process. Call it
    /// when `run` has ended.
    package func remove() async throws(Problem) { try await Self.remove(serviceCIDR: serviceRange.description) }

    /// The same, where no proxy was made.
    package static func remove(serviceCIDR: String) async throws(Problem) {
        let tools = try NetworkTools.found()
        try await tools.nft.run(["-f", "-"], input: Ruleset.removal)
        let route = ["route", "show", "exact", serviceCIDR, "dev", "lo"]
        if try await !tools.ip.run(route).isEmpty {
            try await tools.ip.run(["route", "delete", serviceCIDR, "dev", "lo"])
        }
    }

    private func keepTrue(_ tools: NetworkTools) async throws {
        try await services.waitUntilSynced()
        try await slices.waitUntilSynced()
        if !nodeName.isEmpty { try await pods.waitUntilSynced() }
        var failures = 0
        var reported: [String] = []
        while !Task.isCancelled {
            let withdrawing = state.withLock { $0.machine.withdrawing }
            let table = ServiceTable(
                services: services.list(), slices: slices.list(), pods: pods.list(), withdrawing: withdrawing,
                nodeName: nodeName)
            let ruleset = Ruleset(table, serviceRange: serviceRange, podRange: podRange)
            if ruleset.omissions != reported {
                reported = ruleset.omissions
                for omission in reported { logger.warning("left out of the service rules: \(omission)") }
            }
            do {
                let isDue = state.withLock { $0.machine.pictureRead(ruleset, terminating: table.terminating) }
                if isDue { try await apply(ruleset, tools) }
                failures = 0
                await changed.wait()
            } catch {
                failures += 1
                logger.error("the service rules could not be applied", metadata: ["error": "\(error)"])
                try await Task.sleep(for: Self.backoff.delay(afterFailures: failures))
            }
        }
    }

    /// The route goes with the rules: it gives the machine's own connections to service addresses a way through the
    /// output hook and a source address even where there is no default route, and keeps them from leaving by one. Its
    /// source is the gateway address of the pod network, which has to be started first.
    private func apply(_ ruleset: Ruleset, _ tools: NetworkTools) async throws(Problem) {
        let before = state.withLock { $0.machine.applied }
        try await replace(before, by: ruleset, tools)
        if before == nil {
            let gateway = AddressPoolMachine(range: podRange).gateway
            try await tools.ip.run(["route", "replace", "\(serviceRange)", "dev", "lo", "src", "\(gateway)"])
        }
        resume { $0.rulesetApplied(ruleset) }
    }

    private func replace(_ before: Ruleset?, by ruleset: Ruleset, _ tools: NetworkTools) async throws(Problem) {
        if let change = await change(from: before, to: ruleset, tools) {
            do throws(Problem) {
                try await tools.nft.run(["-f", "-"], input: change)
                return await endFlows((before?.flows ?? []).subtracting(ruleset.flows), tools)
            } catch {
                logger.info("the service rules are replaced as a whole", metadata: ["reason": "\(error.message)"])
            }
        }
        try await tools.nft.run(["-f", "-"], input: ruleset.text)
        await endFlows((before?.flows ?? []).subtracting(ruleset.flows), tools)
    }

    /// What leads from the rules in the kernel to these and keeps who is at home where; rules of an earlier process,
    /// too, are known by their names. Nil where there is nothing to keep.
    private func change(from before: Ruleset?, to next: Ruleset, _ tools: NetworkTools) async -> String? {
        if let before { return before.change(to: next) }
        guard !next.names.affinities.isEmpty else { return nil }
        // Where there is no such table yet the lists are empty, or nft says so; both mean nothing to keep.
        guard let chains = try? await tools.nft.run(["list", "chains", "ip"], outputLimit: Self.listingLimitBytes),
            let sets = try? await tools.nft.run(["--terse", "list", "sets", "ip"], outputLimit: Self.listingLimitBytes)
        else { return nil }
        return RuleNames(chainListing: chains, setListing: sets).change(to: next.names).map { $0 + next.body }
    }

    /// Makes the kernel forget UDP flows whose target is gone: it would send on as long as packets come.
    private func endFlows(_ flows: Set<Ruleset.Flow>, _ tools: NetworkTools) async {
        guard !flows.isEmpty else { return }
        guard let conntrack = tools.conntrack else {
            let isFirst = state.withLock { state in
                defer { state.haveFlowsBeenReported = true }
                return !state.haveFlowsBeenReported
            }
            if isFirst {
                logger.warning(
                    "UDP clients keep to targets that are gone until they pause: install the package conntrack")
            }
            return
        }
        for flow in flows {
            let address = flow.address.map { ["--orig-dst", $0.description] } ?? []
            let words = ["--delete", "--family", "ipv4", "--proto", "udp", "--orig-port-dst", "\(flow.port)"]
            // It fails when there was no such flow, which is how most go.
            _ = try? await conntrack.run(words + address + ["--dst-nat", flow.target.description])
        }
    }

    private func stopped() { resume { $0.proxyStopped() } }

    private func resume(_ input: (inout RulesetMachine) -> [RulesetMachine.Waiter]) {
        let continuations = state.withLock { state in
            input(&state.machine).compactMap { state.continuations.removeValue(forKey: $0) }
        }
        for continuation in continuations { continuation.resume() }
    }
}
