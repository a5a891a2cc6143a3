// The composition root against a cluster that somebody else runs: catalogue, registries, withdrawals and DNS, as its
// clients.

import Client
import DNSServer
import Formats
import Glibc
import Logging
import Objects
import Reconciling
import Timing
import UnixSignals

/// How several replicas share the work.
package struct ReplicaSettings: Sendable {
    /// Where the Leases are; empty takes the kubeconfig's namespace, or `mangrove-system`.
    package var namespace = ""
    /// How long what a replica that is gone has exported stays, for its clients to come to another.
    package var graceSeconds = 60
    package var leaseSeconds = 15

    package init() {}

    var timing: LeaseTiming {
        let share = Double(leaseSeconds) / 15
        return LeaseTiming(
            lease: .seconds(leaseSeconds), renewDeadline: .seconds(10 * share), retry: .seconds(2 * share))
    }
}

/// One replica of the discovery services of a cluster.
package struct ConnectedPlatform: Sendable {
    package struct Ready: Sendable {
        package var replica: String
        package var places: [PlatformPlace]
        package var startMilliseconds: Int
    }

    static let group = "mangrove"

    let configuration: Configuration
    let kubeconfig: Kubeconfig
    let replicas: ReplicaSettings
    /// Nil is off.
    let dns: ListenAddress?
    /// Where `/metrics` and the probes are served; nil is off.
    let metrics: ListenAddress?
    let read: @Sendable (String) throws -> [UInt8]
    let logger: Logger

    /// `read` gives the bytes of files that the kubeconfig names, also later, when a token is renewed.
    package init(
        configuration: Configuration, kubeconfig: Kubeconfig, replicas: ReplicaSettings, dns: ListenAddress?,
        metrics: ListenAddress?, read: @escaping @Sendable (String) throws -> [UInt8], logger: Logger
    ) {
        self.configuration = configuration
        self.kubeconfig = kubeconfig
        self.replicas = replicas
        self.dns = dns
        self.metrics = metrics
        self.read = read
        self.logger = logger
    }

    /// Runs until SIGINT or SIGTERM. `whenReady` is called once.
    package func run(whenReady: @escaping @Sendable (Ready) async throws -> Void) async throws {
        let began = ContinuousClock.now
        OpenFiles.raiseLimit()
        try StateDirectory.prepare(configuration.directory)
        let lock = try StateLock(directory: configuration.directory, note: Self.note([:]))
        let identity = try ReplicaIdentity.open(in: configuration.directory, host: configuration.nodeName)
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let transport = try HTTPSTransport(kubeconfig, read: read)
        do {
            try await run(identity, transport, signals, lock) { places in
                let took = Int((ContinuousClock.now - began) / .milliseconds(1))
                try await whenReady(Ready(replica: identity, places: places, startMilliseconds: took))
            }
        } catch {
            try? await transport.shutdown()
            throw error
        }
        try await transport.shutdown()
    }

    private func run(
        _ identity: String, _ transport: HTTPSTransport, _ signals: UnixSignalsSequence, _ lock: StateLock,
        _ whenReady: @escaping @Sendable ([PlatformPlace]) async throws -> Void
    ) async throws {
        let client = { @Sendable (name: String) in KubernetesClient(transport: transport, name: "mangrove-" + name) }
        let namespace = try await leaseNamespace(client("connect"))
        let membership = Membership(
            client: client("replicas"), namespace: namespace, group: Self.group, identity: identity,
            timing: replicas.timing, grace: .seconds(replicas.graceSeconds), logger: logger)
        let counted = MetricsRelay()
        counted.add { membership.writeMetrics(to: &$0) }
        let discovery = DiscoveryParts(
            configuration: configuration, carriesServiceAddresses: false, client: client, membership: membership,
            metrics: counted, logger: logger)
        var services = PlatformServices()
        services.add(place: "cluster", kubeconfig.server)
        services.add(discovery.services)
        services.add("membership") { await membership.run() }
        if let dns {
            let server = try ClusterDNS(
                client: client("dns"), listen: [DNSEndpoint(address: dns.host, port: dns.port)],
                clusterDomain: configuration.clusterDomain, logger: logger)
            counted.add { server.writeMetrics(to: &$0) }
            services.add(listening: "DNS server") { bound in try await server.run { _ in bound.open() } }
            services.add(place: "dns", "\(dns) (*.\(configuration.clusterDomain))")
        }
        let ready = Gate()
        if let metrics {
            let listener = MetricsListener(address: metrics, metrics: counted, ready: ready)
            services.add(listening: "metrics server") { bound in try await listener.run(listening: bound) }
            services.add(place: "metrics", "http://\(metrics)/metrics")
        }
        let places = services.places
        services.add("status note") { try await Self.keepNote(lock, places, membership, ready) }
        let built = services
        try await PlatformService.run(built.all, until: signals, logger: logger) {
            try await membership.waitUntilSynced()
            try await built.waitUntilListening()
            await discovery.waitUntilComplete()
            ready.open()
            try await whenReady(built.places)
        } stopping: {
            await discovery.announceEnd()
        }
    }

    /// How often the note for `mangrove status` is compared with what is so.
    private static let noteInterval: Duration = .seconds(1)

    /// Says in the lock file what this replica is among the others, until cancelled.
    private static func keepNote(
        _ lock: StateLock, _ places: [PlatformPlace], _ membership: Membership, _ ready: Gate
    ) async throws {
        var written: JSON = [:]
        while true {
            let facts: JSON = [
                "places": .object(JSONObject(places.map { ($0.name, .string($0.address)) })),
                "replica": .string(membership.identity), "ready": .bool(ready.isOpen),
                "leading": .bool(membership.isLeading),
                "replicas": .array(membership.living.sorted().map { .string($0) }),
            ]
            if facts != written { lock.write(note(facts)) }
            written = facts
            try await Task.sleep(for: noteInterval)
        }
    }

    /// What the lock file says of this process.
    private static func note(_ facts: JSON) -> JSON {
        var note = facts
        note["pid"] = JSON(Int(getpid()))
        return note
    }

    /// The namespace of the Leases, made where it is the default one and missing. The first call: what is wrong with
    /// the way to the cluster is told here.
    private func leaseNamespace(_ client: KubernetesClient) async throws -> String {
        let name = [replicas.namespace, kubeconfig.namespace, SystemObjects.namespace].first { !$0.isEmpty } ?? ""
        do {
            _ = try await client.get(.namespaces, ObjectKey(name: name))
        } catch let problem as Problem where problem.code == 404 && name == SystemObjects.namespace {
            do {
                _ = try await client.create(.namespaces, Object(.namespaces, name: name))
            } catch let problem as Problem where problem.code == 409 {
                // Another replica was quicker.
            }
        } catch let problem as Problem where problem.code == 403 {
            // Who may not look at namespaces may still have Leases in one.
        } catch let problem as Problem {
            throw problem
        } catch {
            throw Problem(.serviceUnavailable, "\(kubeconfig.server) cannot be reached: \(error)")
        }
        return name
    }
}
