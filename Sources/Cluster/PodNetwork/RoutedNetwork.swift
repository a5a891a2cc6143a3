// The pod network of one machine: a veth pair and a route per pod, no bridge.

import CLinux
import Dispatch
import Formats
import Glibc
import Logging
import Objects

/// Gives every sandbox an address of the pod range, a device `eth0` with that address alone, and a default route to the
/// machine; the machine has a host route per pod. Pods reach the machine and each other through the machine's routing
/// table with their own addresses; what leaves the machine is masqueraded.
///
/// The assignment of addresses is kept in `DIRECTORY/pod-network.json`, so it survives this process; `remove` undoes
/// everything, also what an earlier process did.
package actor RoutedNetwork: PodNetworking {
    /// All devices on the machine's side are called this and the address in hexadecimal.
    package static let devicePrefix = "mgv"
    static let table = "mangrove-pods"
    /// Loses against every host route of a pod, wins against the default route.
    static let unreachableMetric = 4096

    private let range: AddressRange
    private let file: SmallFile
    private let tools: NetworkTools
    private let logger: Logger
    private var pool: AddressPoolMachine
    /// What `ip_forward` was before this network was made; restored by `remove`.
    private var forwardingBefore: String?
    private var isStarted = false

    /// Reads the state of an earlier process, if there is one. Throws when the range cannot be used, when the state
    /// belongs to another range, and one Problem for everything that the machine lacks.
    package init(directory: String, podCIDR: String = "10.88.0.0/16", logger: Logger) throws(Problem) {
        guard let range = AddressRange(podCIDR), range.prefixLength <= AddressPoolMachine.longestPrefix else {
            throw Problem(.invalid, "\"\(podCIDR)\" is no IPv4 range with room for pods")
        }
        self.range = range
        self.logger = logger
        tools = try NetworkTools.found()
        file = SmallFile(path: "\(directory)/pod-network.json")
        pool = AddressPoolMachine(range: range)
        guard let bytes = try file.read() else { return }
        guard let tree = try? JSON(parsing: bytes), let known = AddressPoolMachine(tree: tree, range: range) else {
            throw Problem(
                .conflict,
                "\(file.path) does not belong to the pod range \(range): run with the range that it names, or stop all pods "
                    + "and delete the file")
        }
        pool = known
        forwardingBefore = tree["forwardingBefore"]?.string
    }

    /// The address that pods know the machine by.
    package var gateway: String { pool.gateway.description }

    /// Sandboxes that have an address.
    package var sandboxes: Set<String> { Set(pool.assigned.keys) }

    /// Prepares the machine: forwarding, the gateway address, no way out for pod addresses that nobody has,
    /// masquerading. May be called again.
    package func start() async throws(Problem) {
        try await startForwarding()
        try await tools.ip.run(
            ["-batch", "-"],
            input: """
                address replace \(pool.gateway)/32 dev lo
                route replace unreachable \(range) metric \(Self.unreachableMetric)

                """)
        try await tools.nft.run(["-f", "-"], input: Self.masquerade(range))
        isStarted = true
    }

    package func attach(sandbox: String, namespacePath: String) async throws(Problem) -> String {
        guard access(namespacePath, F_OK) == 0 else {
            throw Problem(.notFound, "the sandbox \(sandbox) has no network namespace at \(namespacePath)")
        }
        if !isStarted { try await start() }
        switch pool.assign(to: sandbox) {
        case .exhausted:
            throw Problem(
                .tooManyRequests, "the pod range \(range) has no free address: \(pool.assigned.count) are taken")
        case .known(let address):
            try await connect(address, namespacePath: namespacePath)
            return address.description
        case .fresh(let address):
            do {
                try save()
                try await connect(address, namespacePath: namespacePath)
            } catch {
                await detach(sandbox: sandbox)
                throw error
            }
            return address.description
        }
    }

    package func detach(sandbox: String) async {
        guard let address = pool.assigned[sandbox] else { return }
        do {
            try await deleteDevice(of: address)
            // Given back only now: until the device is gone its route would lead the next owner's packets astray.
            _ = pool.release(sandbox)
            try save()
        } catch {
            logger.error(
                "an address could not be taken back", metadata: ["sandbox": "\(sandbox)", "error": "\(error)"])
        }
    }

    /// Takes back the addresses of all sandboxes but these: what an agent calls once after it listed what still runs.
    package func detachAll(except living: Set<String>) async {
        for sandbox in pool.assigned.keys.sorted() where !living.contains(sandbox) { await detach(sandbox: sandbox) }
    }

    /// Undoes everything on the machine and forgets all addresses. Goes on when a step fails, and then throws one
    /// Problem that names every failure; call it again when the cause is gone.
    package func remove() async throws(Problem) {
        isStarted = false
        await detachAll(except: [])
        var failures: [String] = []
        if !pool.assigned.isEmpty { failures.append("\(pool.assigned.count) addresses could not be taken back") }
        let route = "\(range) metric \(Self.unreachableMetric)"
        for (present, removal) in [
            (["address", "show", "dev", "lo", "to", "\(pool.gateway)/32"], "address delete \(pool.gateway)/32 dev lo"),
            (["route", "show", "type", "unreachable", "exact", "\(range)"], "route delete unreachable \(route)"),
        ] {
            do {
                guard try await !tools.ip.run(present).isEmpty else { continue }
                try await tools.ip.run(["-batch", "-"], input: removal + "\n")
            } catch {
                failures.append(error.message)
            }
        }
        do {
            try await tools.nft.run(["-f", "-"], input: "table ip \(Self.table)\ndelete table ip \(Self.table)\n")
            if let before = forwardingBefore { try SmallFile(path: Self.forwardingPath).overwrite(Array(before.utf8)) }
            forwardingBefore = nil
            if failures.isEmpty { try file.remove() }
        } catch {
            failures.append(error.message)
        }
        if !failures.isEmpty {
            throw Problem(.internalError, "the pod network is not quite gone: " + failures.joined(separator: "; "))
        }
    }
}

// MARK: - One pod

extension RoutedNetwork {
    static func device(of address: IPv4Address) -> String {
        let digits = String(address.value, radix: 16)
        return devicePrefix + String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// Makes what is missing of a pod's connection; a connection that is whole is not disturbed.
    private func connect(_ address: IPv4Address, namespacePath: String) async throws(Problem) {
        let device = Self.device(of: address)
        let isThere = if_nametoindex(device) == 0 ? false : await hasAddress(address, namespacePath: namespacePath)
        if isThere {
            try await tools.ip.run(
                ["-batch", "-"],
                input: """
                    link set \(device) up
                    route replace \(address)/32 dev \(device) src \(pool.gateway)

                    """)
        } else {
            try await deleteDevice(of: address)
            let (gateway, mtu) = (pool.gateway.value, UInt32(Self.mtu()))
            // No program is started for this: a pod that starts waits for it.
            try await Self.kernel("connecting a pod by the device \(device)") {
                clinux_link_pod(namespacePath, device, address.value, gateway, mtu)
            }
        }
        // Lets a node port of 127.0.0.1 lead to a pod; the guard chain keeps pods from the machine's loopback.
        try SmallFile(path: "/proc/sys/net/ipv4/conf/\(device)/route_localnet").overwrite(Array("1".utf8))
    }

    private func hasAddress(_ address: IPv4Address, namespacePath: String) async -> Bool {
        let shown = try? await tools.nsenter.run([
            "--net=\(namespacePath)", tools.ip.path, "-oneline", "address", "show", "dev", "eth0", "to",
            "\(address)/32",
        ])
        return shown?.isEmpty == false
    }

    /// The other end goes with it. No error when the namespace went first and took both along.
    private func deleteDevice(of address: IPv4Address) async throws(Problem) {
        let device = Self.device(of: address)
        guard if_nametoindex(device) != 0 else { return }
        try await Self.kernel("removing the device \(device)") { clinux_unlink_pod(device) }
    }

    /// Asks the kernel on a thread that nobody else uses meanwhile; throws for -errno.
    private static func kernel(_ what: String, _ ask: @escaping @Sendable () -> Int32) async throws(Problem) {
        let result = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: ask()) }
        }
        if result < 0 { throw Problem(.internalError, "\(what): \(String(cString: strerror(-result)))") }
    }

    private func save() throws(Problem) {
        var tree = pool.tree
        tree["forwardingBefore"] = forwardingBefore.map { .string($0) }
        try file.replace(Array(tree.pretty().utf8))
    }
}

// MARK: - The machine

extension RoutedNetwork {
    static let forwardingPath = "/proc/sys/net/ipv4/ip_forward"
    /// Used where no default route tells a device whose size counts.
    static let ordinaryMTU = 1500

    private func startForwarding() async throws(Problem) {
        let setting = SmallFile(path: Self.forwardingPath)
        let now = String(decoding: try setting.read() ?? [], as: UTF8.self).filter(\.isNumber)
        if forwardingBefore == nil {
            forwardingBefore = now
            try save()
        }
        if now != "1" { try setting.overwrite(Array("1".utf8)) }
    }

    /// Pods get the packet size of the device that the default route leaves by: larger packets would be lost on the
    /// way.
    private static func mtu() -> Int {
        func text(_ path: String) -> String {
            String(decoding: (try? SmallFile(path: path).read()) ?? [], as: UTF8.self)
        }
        for line in text("/proc/net/route").split(separator: "\n").dropFirst() {
            let fields = line.split(separator: "\t")
            guard fields.count > 1, fields[1] == "00000000" else { continue }
            if let mtu = Int(text("/sys/class/net/\(fields[0])/mtu").filter(\.isNumber)) { return mtu }
        }
        return ordinaryMTU
    }

    /// Masquerades what leaves the machine, and keeps pods away from the machine's loopback addresses, which
    /// `route_localnet` would let them reach (CVE-2020-8558; kube-proxy installs the same rule).
    static func masquerade(_ range: AddressRange) -> String {
        """
        table ip \(table)
        delete table ip \(table)
        table ip \(table) {
          chain egress {
            type nat hook postrouting priority srcnat
            ip saddr \(range) ip daddr != \(range) oifname != "lo" masquerade
          }
          chain guard {
            type filter hook input priority filter
            iifname "\(devicePrefix)*" ip daddr 127.0.0.0/8 ct state new ct status dnat accept
            iifname "\(devicePrefix)*" ip daddr 127.0.0.0/8 ct state new drop
          }
        }

        """
    }
}
