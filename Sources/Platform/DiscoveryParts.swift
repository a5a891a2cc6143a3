// The catalogue with its registries, its way to and from Kubernetes, and rollouts' withdrawals: clients of whichever
// API server.

import Catalogue
import Client
import Configurations
import EurekaServer
import Formats
import Logging
import NacosServer
import Objects
import Reconciling
import RegistrySync
import Rollouts
import ZooKeeperServer

/// What runs beside an embedded API server and against a foreign one alike.
struct DiscoveryParts: Sendable {
    let catalogue: ServiceCatalogue
    private(set) var services = PlatformServices()
    private let configuration: Configuration
    /// Whether this machine carries the service addresses of the registries too.
    private let carriesServiceAddresses: Bool
    private var nacos: ClusterBackend?

    /// Everything that counts adds to `metrics`. `membership` says which of several replicas this is; nil where there
    /// is only this one.
    init(
        configuration: Configuration, carriesServiceAddresses: Bool, client: (String) -> KubernetesClient,
        membership: Membership? = nil, metrics: MetricsRelay, logger: Logger
    ) {
        self.configuration = configuration
        self.carriesServiceAddresses = carriesServiceAddresses
        let catalogue = ServiceCatalogue(
            sources: configuration.zookeeper == nil ? [.kubernetes] : [.kubernetes, .zookeeper])
        self.catalogue = catalogue
        metrics.add { catalogue.writeMetrics(to: &$0) }
        let configurations = ClusterConfigurations(client: client("configurations"), logger: logger)
        services.add("configurations") { await configurations.run() }
        addNacos(client: client("nacos"), configurations, logger: logger)
        addEureka(metrics, logger: logger)
        addZooKeeper(metrics, logger: logger)
        services.add("catalogue") { try await catalogue.run() }
        let sync = ServiceSync(
            client: client("registry-sync"), catalogue: catalogue, configurations: configurations,
            membership: membership,
            logger: logger)
        services.add("registry sync") { try await sync.run() }
        let rollouts = WithdrawalController(
            client: client("rollouts"), catalogue: catalogue, membership: membership, logger: logger)
        services.add("rollouts") { try await rollouts.run() }
    }

    /// Returns when the catalogue has its first full picture.
    func waitUntilComplete() async {
        await catalogue.waitUntilComplete()
        await nacos?.waitUntilComplete()
    }

    /// Tells those who are connected to the registries that they are going.
    func announceEnd() async { await nacos?.backend.announceEnd() }

    private mutating func addNacos(client: KubernetesClient, _ configurations: ClusterConfigurations, logger: Logger) {
        guard let nacos = configuration.nacos else { return }
        let cluster = ClusterBackend(
            client: client, catalogue: catalogue, configurations: configurations,
            checksAccess: configuration.nacosChecksAccess, logger: logger)
        self.nacos = cluster
        services.add("Nacos backend") { await cluster.run() }
        var hosts = [nacos.host]
        if carriesServiceAddresses { hosts.append(configuration.nacosServiceAddress) }
        for host in hosts {
            let bound = services.gate()
            let listener = NacosListener(
                backend: cluster.backend, httpAddress: .init(host: host, port: nacos.port),
                grpcAddress: .init(host: host, port: nacos.port + NacosListener.grpcPortOffset), logger: logger
            ) { bound.open() }
            services.add("Nacos server on \(host):\(nacos.port)") { try await listener.run() }
        }
        services.add(place: "nacos", "http://\(nacos)/nacos (gRPC on port \(nacos.port + 1000))")
    }

    private mutating func addEureka(_ metrics: MetricsRelay, logger: Logger) {
        guard let eureka = configuration.eureka else { return }
        var hosts = [eureka.host]
        if carriesServiceAddresses { hosts.append(configuration.eurekaServiceAddress) }
        let addresses = hosts.map { ListenAddress(host: $0, port: eureka.port) }
        let gates = Dictionary(uniqueKeysWithValues: addresses.map { ($0, services.gate()) })
        let listener = EurekaListener(
            catalogue: catalogue, addresses: addresses, renewalShare: configuration.eurekaRenewalShare, logger: logger
        ) { gates[$0]?.open() }
        metrics.add { listener.writeMetrics(to: &$0) }
        services.add("Eureka server on \(eureka)") { try await listener.run() }
        services.add(place: "eureka", "http://\(eureka)/eureka")
    }

    private mutating func addZooKeeper(_ metrics: MetricsRelay, logger: Logger) {
        guard let zookeeper = configuration.zookeeper else { return }
        var hosts = [zookeeper.host]
        if carriesServiceAddresses { hosts.append(configuration.zookeeperServiceAddress) }
        let bound = services.gate()
        let listener = ZooKeeperListener(
            catalogue: catalogue, directory: configuration.directory + "/zookeeper",
            addresses: hosts.map { .init(host: $0, port: zookeeper.port) }, logger: logger
        ) { bound.open() }
        metrics.add { listener.writeMetrics(to: &$0) }
        services.add("ZooKeeper server on \(zookeeper)") { try await listener.run() }
        services.add(place: "zookeeper", zookeeper.description)
    }
}
