// What makes this machine a node: the pod network, the runtime, the agent, the service rules and DNS.

import Client
import ContainerRuntimes
import DNSServer
import Glibc
import Logging
import NIOCore
import NodeAgent
import Objects
import PodNetwork

/// A machine that is prepared for pods; `mangrove reset` undoes that.
struct NodeGround: Sendable {
    let runtime: ProcessRuntime
    let network: RoutedNetwork

    /// Sets the machine up, or says what it lacks for pods.
    static func prepare(
        _ configuration: Configuration, logger: Logger
    ) async -> Result<NodeGround, Problem> {
        do throws(Problem) {
            return .success(try await NodeGround(configuration, logger: logger))
        } catch {
            return .failure(error)
        }
    }

    private init(_ configuration: Configuration, logger: Logger) async throws(Problem) {
        guard geteuid() == 0 else {
            throw Problem(
                .forbidden, "pods, service addresses and DNS need root; the API, the catalogue and Nacos work without")
        }
        let directory = configuration.directory
        // What only looks comes first: a machine that cannot run pods is left as it is.
        runtime = try ProcessRuntime(directory: directory + "/runtime", hidden: [directory], logger: logger)
        try StateDirectory.prepare(directory + "/network")
        network = try RoutedNetwork(
            directory: directory + "/network", podCIDR: configuration.podCIDR, logger: logger)
        try await network.start()
        try await HostAddresses(configuration.serviceAddresses).add()
        try await runtime.adopt()
    }
}

/// The node's services.
struct NodeParts: Sendable {
    let services: [PlatformService]
    let logs: PodLogs
    let meter: UsageMeter
    let agent: Kubelet
    let dns: ClusterDNS

    init(
        on ground: NodeGround, configuration: Configuration, logger: Logger, client: (String) -> KubernetesClient
    ) throws(Problem) {
        let (directory, runtime, network) = (configuration.directory, ground.runtime, ground.network)
        let proxy = try ServiceProxy(
            client: client("service-proxy"), serviceCIDR: configuration.serviceCIDR, podCIDR: configuration.podCIDR,
            nodeName: configuration.nodeName, nodeAddress: Self.machineAddress(), logger: logger)
        let node = NodeConfiguration(
            nodeName: configuration.nodeName, nodeAddress: Self.machineAddress(), directory: directory + "/node",
            clusterDNS: configuration.dnsServiceAddress, clusterDomain: configuration.clusterDomain,
            apiAddress: configuration.apiServiceAddress)
        let agent = Kubelet(
            configuration: node, client: client("node-agent"), runtime: runtime, network: network,
            withdrawn: { await proxy.waitUntilWithdrawn(address: $0) }, logger: logger)
        dns = try ClusterDNS(
            client: client("dns"), listen: [DNSEndpoint(address: configuration.dnsServiceAddress)],
            clusterDomain: configuration.clusterDomain, logger: logger)
        logs = PodLogs(directory: directory + "/node/logs")
        self.agent = agent
        let meter = UsageMeter(runtime: runtime, logger: logger)
        self.meter = meter
        services = [
            .init(name: "service proxy") { try await proxy.run() },
            .init(name: "rule watch") { try await RuleWatch(network: network, proxy: proxy, logger: logger).run() },
            .init(name: "node agent") { try await agent.run() },
            .init(name: "usage meter") { try await meter.run() },
        ]
    }

    /// The address that this machine has on its first network; loopback where there is none.
    static func machineAddress() -> String {
        let devices = (try? System.enumerateDevices()) ?? []
        for device in devices where !device.name.hasPrefix("lo") && !device.name.hasPrefix(RoutedNetwork.devicePrefix) {
            if let address = device.address?.ipAddress, device.address?.protocol == .inet { return address }
        }
        return "127.0.0.1"
    }
}
