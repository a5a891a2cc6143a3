// Every service of a platform, built in the order of what needs what.

import APIServer
import Access
import Catalogue
import Client
import Controllers
import DNSServer
import Logging
import NacosServer
import Objects
import RegistrySync
import Rollouts
import Scheduling
import Storage
import Watching

/// The built services. Nothing runs until the platform runs `services`.
struct Parts: Sendable {
    /// A named body that runs until it is cancelled; one that ends otherwise has failed.
    struct Service: Sendable {
        let name: String
        let run: @Sendable () async throws -> Void
    }

    private(set) var services: [Service] = []
    private(set) var places: [Platform.Place] = []
    private(set) var warnings: [String] = []
    private let api: KubernetesAPI
    private let catalogue: ServiceCatalogue
    private let configuration: Configuration
    private var node: NodeParts?

    init(configuration: Configuration, store: Store, logger: Logger) async throws {
        self.configuration = configuration
        let hub = Hub(store: store)
        let logs = LogRelay()
        api = try KubernetesAPI(store: store, hub: hub, nodeAccess: logs, logger: logger)
        catalogue = ServiceCatalogue(sources: [.kubernetes])
        let credentials = try Credentials.open(at: configuration.directory + "/pki")
        try credentials.writeKubeconfig(server: configuration.api.description, to: configuration.kubeconfigPath)

        do throws(Problem) {
            node = try await NodeParts(configuration: configuration, logger: logger, client: client("node"))
            node.map { logs.connect($0.logs) }
        } catch {
            warnings.append("no pods run here: \(error.message)")
        }
        try addInterfaces(credentials: credentials, logger: logger)
        addReconcilers(logger: logger)
        if let node { services += node.services }
    }

    /// A client of the embedded API server under a component's name.
    func client(_ name: String) -> KubernetesClient {
        KubernetesClient(transport: InProcessTransport(api: api, identity: .component(name)), name: name)
    }

    private mutating func add(_ name: String, _ run: @escaping @Sendable () async throws -> Void) {
        services.append(Service(name: name, run: run))
    }

    private mutating func addInterfaces(credentials: Credentials, logger: Logger) throws {
        var addresses = [configuration.api]
        if node != nil { addresses.append(ListenAddress(host: configuration.apiServiceAddress, port: 443)) }
        for address in addresses {
            let listener = try APIListener(
                api: api, credentials: credentials, host: address.host, port: address.port, logger: logger)
            add("API server on \(address)") { try await listener.run() }
        }
        places.append(.init(name: "kubernetes", address: "https://\(configuration.api)"))
        guard let nacos = configuration.nacos else { return }
        var hosts = [nacos.host]
        if node != nil { hosts.append(configuration.nacosServiceAddress) }
        for host in hosts {
            let listener = NacosListener(
                catalogue: catalogue, httpAddress: .init(host: host, port: nacos.port),
                grpcAddress: .init(host: host, port: nacos.port + NacosListener.grpcPortOffset), logger: logger)
            add("Nacos server on \(host):\(nacos.port)") { try await listener.run() }
        }
        places.append(.init(name: "nacos", address: "http://\(nacos)/nacos  (gRPC on port \(nacos.port + 1000))"))
    }

    private mutating func addReconcilers(logger: Logger) {
        let catalogue = catalogue
        add("catalogue") { try await catalogue.run() }
    }
}
