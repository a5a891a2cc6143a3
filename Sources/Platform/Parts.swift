// Every service of a platform, built in the order of what needs what.

import APIServer
import Access
import Client
import Controllers
import Formats
import Logging
import Objects
import Scheduling
import Storage
import Timing
import Watching

/// The built services. Nothing runs until the platform runs `services`.
struct Parts: Sendable {
    private(set) var services = PlatformServices()
    private(set) var warnings: [String] = []
    private let api: KubernetesAPI
    private let discovery: DiscoveryParts
    private let configuration: Configuration
    let authorityPEM: String
    private let node: NodeParts?
    /// Where every part adds what it counts.
    private let metrics = MetricsRelay()
    /// Opened when the first objects are there. Until then only the API listens: the caches of everything else, which
    /// are large where much is stored, would keep it from being ready.
    private let prepared = Gate()

    /// Opens what is stored and sets the machine up, both at once, and makes the first objects.
    init(configuration: Configuration, store: Store, logger: Logger) async throws {
        self.configuration = configuration
        async let ground = NodeGround.prepare(configuration, logger: logger)
        let logs = LogRelay()
        let credentials = try Credentials.open(
            at: configuration.directory + "/pki", names: configuration.serverNames,
            now: APIEnvironment.system.now().secondsSinceEpoch)
        authorityPEM = credentials.authorityPEM
        let authenticator = try Authenticator(credentials)
        let usage = UsageRelay()
        let api = try KubernetesAPI(
            store: store, hub: Hub(store: store), nodeAccess: logs, usageSource: usage, authenticator: authenticator,
            contributedMetrics: { [metrics] in metrics.write(to: &$0) }, logger: logger)
        self.api = api
        async let firstObjects: Void = api.makeFirstObjects()
        try credentials.writeKubeconfig(to: configuration.kubeconfigPath, server: "https://\(configuration.api)")
        do throws(Problem) {
            let node = try NodeParts(on: await ground.get(), configuration: configuration, logger: logger) {
                Self.client($0, of: api)
            }
            logs.connect(node.logs, access: node.agent.access, client: Self.client("pod-logs", of: api))
            usage.connect(node.meter, nodeName: configuration.nodeName)
            self.node = node
        } catch {
            node = nil
            warnings.append("no pods run here: \(error.message)")
        }
        discovery = DiscoveryParts(
            configuration: configuration, carriesServiceAddresses: node != nil, client: { Self.client($0, of: api) },
            metrics: metrics, logger: logger)
        try addKubernetes(credentials: credentials, logger: logger)
        services.add(discovery.services.after(prepared))
        addRestoring(logger: logger)
        addReconcilers(authority: credentials.authorityPEM, logger: logger)
        try addAccess(credentials, authenticator.tokens, logger: logger)
        addNode()
        try await firstObjects
    }

    /// A client of the embedded API server under a component's name.
    func client(_ name: String) -> KubernetesClient { Self.client(name, of: api) }

    private static func client(_ name: String, of api: KubernetesAPI) -> KubernetesClient {
        KubernetesClient(transport: InProcessTransport(api: api, identity: .component(name)), name: name)
    }

    /// Makes the objects that say where this cluster is, and lets everything run.
    func prepareObjects() async throws {
        let (address, port) = apiEndpoint
        try await api.publish(endpointAddress: address, port: port)
        try await publishAuthority()
        try await systemObjects?.ensure()
        prepared.open()
    }

    /// Where pods find the API.
    private var apiEndpoint: (address: String, port: Int) {
        node == nil ? (configuration.api.host, configuration.api.port) : (configuration.apiServiceAddress, 443)
    }

    private var systemObjects: SystemObjects? {
        node == nil ? nil : SystemObjects(client: client("mangrove"), configuration: configuration)
    }

    /// How soon what somebody deletes of the first objects is there again.
    static let restoringPeriod = Duration.seconds(5)

    private mutating func addRestoring(logger: Logger) {
        let (api, systemObjects) = (self.api, self.systemObjects)
        let (address, port) = apiEndpoint
        add("first objects") {
            var reported = ""
            while true {
                try await Task.sleep(for: Self.restoringPeriod)
                do {
                    try await api.restoreFirstObjects(endpointAddress: address, port: port)
                    try await systemObjects?.ensure()
                    reported = ""
                } catch let problem as Problem {
                    // Such as in a namespace that is on its way out.
                    if problem.message != reported {
                        logger.warning("the first objects are not whole: \(problem.message)")
                    }
                    reported = problem.message
                }
            }
        }
    }

    /// Returns when every interface listens and the catalogue has its first full picture.
    func waitUntilReady() async throws {
        try await services.waitUntilListening()
        await discovery.waitUntilComplete()
    }

    /// Tells those who are connected to the registries that they are going.
    func announceEnd() async { await discovery.announceEnd() }

    var servesDNS: Bool { node != nil }

    /// Stops the pods of this node gracefully.
    func stopPods() async { await node?.agent.stopPods() }

    /// Adds what runs once the first objects are there.
    mutating func add(_ name: String, _ run: @escaping @Sendable () async throws -> Void) {
        services.add(name) { [prepared] in
            try await prepared.wait()
            try await run()
        }
    }

    private mutating func addKubernetes(credentials: Credentials, logger: Logger) throws {
        var addresses = [configuration.api]
        if node != nil { addresses.append(ListenAddress(host: configuration.apiServiceAddress, port: 443)) }
        for address in addresses {
            let listener = try APIListener(
                api: api, credentials: credentials, host: address.host, port: address.port, logger: logger)
            services.add(listening: "API server on \(address)") { bound in try await listener.run { _ in bound.open() }
            }
        }
        services.add(place: "kubernetes", "https://\(configuration.api)")
    }

    private mutating func addReconcilers(authority: String, logger: Logger) {
        let volumes = node == nil ? nil : VolumeDirectory(path: configuration.directory + "/volumes")
        let loops = ControlLoops(
            client: client("controllers"), rootCertificate: authority, volumeStore: volumes, logger: logger)
        add("controllers") { try await loops.run() }
        let scheduler = Scheduler(client: client("scheduler"), logger: logger)
        add("scheduler") { try await scheduler.run() }
    }

    private mutating func addNode() {
        guard let node else { return }
        for service in node.services { add(service.name, service.run) }
        let dns = node.dns
        metrics.add { dns.writeMetrics(to: &$0) }
        let bound = services.gate()
        add("DNS server") { try await dns.run { _ in bound.open() } }
        services.add(place: "dns", "\(configuration.dnsServiceAddress):53 (*.\(configuration.clusterDomain))")
    }
}
