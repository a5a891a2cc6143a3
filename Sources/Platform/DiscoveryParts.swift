// The catalogue with its registries, its way to and from Kubernetes, and rollouts' withdrawals: clients of whichever API server.

import Catalogue
import Client
import EurekaServer
import Logging
import NacosServer
import Objects
import Reconciling
import RegistrySync
import Rollouts
import Timing
import ZooKeeperServer

/// What runs beside an embedded API server and against a foreign one alike.
struct DiscoveryParts: Sendable {
    let catalogue: ServiceCatalogue
    private(set) var services: [PlatformService] = []
    private(set) var places: [PlatformPlace] = []
    private let configuration: Configuration
    /// Whether this machine carries the service addresses of the registries too.
    private let carriesServiceAddresses: Bool
    private var nacos: ClusterBackend?
    /// Opened by each interface once it listens.
    private var listening: [Gate] = []

    /// `membership` says which of several replicas this is; nil where there is only this one.
    init(
        configuration: Configuration, carriesServiceAddresses: Bool, client: (String) -> KubernetesClient,
        membership: Membership? = nil, logger: Logger
    ) {
        self.configuration = configuration
        self.carriesServiceAddresses = carriesServiceAddresses
        let catalogue = ServiceCatalogue(sources: configuration.zookeeper == nil ? [.kubernetes] : [.kubernetes, .zookeeper])
        self.catalogue = catalogue
        addNacos(client: client("nacos"), logger: logger)
        addEureka(logger: logger)
        addZooKeeper(logger: logger)
        add("catalogue") { try await catalogue.run() }
        let sync = ServiceSync(
            client: client("registry-sync"), catalogue: catalogue, membership: membership, logger: logger)
        add("registry sync") { try await sync.run() }
        let rollouts = WithdrawalController(
            client: client("rollouts"), catalogue: catalogue, membership: membership, logger: logger)
        add("rollouts") { try await rollouts.run() }
    }

    /// Returns when every interface listens and the catalogue has its first full picture.
    func waitUntilReady() async throws {
        for gate in listening { try await gate.wait() }
        await catalogue.waitUntilComplete()
        await nacos?.waitUntilComplete()
    }

    /// Tells those who are connected to the registries that they are going.
    func announceEnd() async { await nacos?.backend.announceEnd() }

    private mutating func add(_ name: String, _ run: @escaping @Sendable () async throws -> Void) {
        services.append(PlatformService(name: name, run: run))
    }

    private mutating func gate() -> Gate {
        let gate = Gate()
        listening.append(gate)
        return gate
    }

    private mutating func addNacos(client: KubernetesClient, logger: Logger) {
        guard let nacos = configuration.nacos else { return }
        let cluster = ClusterBackend(
            client: client, catalogue: catalogue, checksAccess: configuration.nacosChecksAccess, logger: logger)
        self.nacos = cluster
        add("Nacos backend") { await cluster.run() }
        var hosts = [nacos.host]
        if carriesServiceAddresses { hosts.append(configuration.nacosServiceAddress) }
        for host in hosts {
            let bound = gate()
            let listener = NacosListener(
                backend: cluster.backend, httpAddress: .init(host: host, port: nacos.port),
                grpcAddress: .init(host: host, port: nacos.port + NacosListener.grpcPortOffset), logger: logger
            ) { bound.open() }
            add("Nacos server on \(host):\(nacos.port)") { try await listener.run() }
        }
        places.append(.init(name: "nacos", address: "http://\(nacos)/nacos (gRPC on port \(nacos.port + 1000))"))
    }

    private mutating func addEureka(logger: Logger) {
        guard let eureka = configuration.eureka else { return }
        var hosts = [eureka.host]
        if carriesServiceAddresses { hosts.append(configuration.eurekaServiceAddress) }
        let addresses = hosts.map { EurekaListener.Address(host: $0, port: eureka.port) }
        let gates = Dictionary(uniqueKeysWithValues: addresses.map { ($0, gate()) })
        let listener = EurekaListener(
            catalogue: catalogue, addresses: addresses, renewalShare: configuration.eurekaRenewalShare, logger: logger
        ) { gates[$0]?.open() }
        add("Eureka server on \(eureka)") { try await listener.run() }
        places.append(.init(name: "eureka", address: "http://\(eureka)/eureka"))
    }

    private mutating func addZooKeeper(logger: Logger) {
        guard let zookeeper = configuration.zookeeper else { return }
        var hosts = [zookeeper.host]
        if carriesServiceAddresses { hosts.append(configuration.zookeeperServiceAddress) }
        let bound = gate()
        let listener = ZooKeeperListener(
            catalogue: catalogue, directory: configuration.directory + "/zookeeper",
            addresses: hosts.map { .init(host: $0, port: zookeeper.port) }, logger: logger
        ) { bound.open() }
        add("ZooKeeper server on \(zookeeper)") { try await listener.run() }
        places.append(.init(name: "zookeeper", address: zookeeper.description))
    }
}
