// The composition root against a cluster that somebody else runs: catalogue, registries, withdrawals and DNS, as its clients.

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
        return LeaseTiming(lease: .seconds(leaseSeconds), renewDeadline: .seconds(10 * share), retry: .seconds(2 * share))
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
    let read: @Sendable (String) throws -> [UInt8]
    let logger: Logger

    /// `read` gives the bytes of files that the kubeconfig names, also later, when a token is renewed.
    package init(
        configuration: Configuration, kubeconfig: Kubeconfig, replicas: ReplicaSettings, dns: ListenAddress?,
        read: @escaping @Sendable (String) throws -> [UInt8], logger: Logger
    ) {
        self.configuration = configuration
        self.kubeconfig = kubeconfig
        self.replicas = replicas
        self.dns = dns
        self.read = read
        self.logger = logger
    }

    /// Runs until SIGINT or SIGTERM. `whenReady` is called once.
    package func run(whenReady: @escaping @Sendable (Ready) async throws -> Void) async throws {
        let began = ContinuousClock.now
        OpenFiles.raiseLimit()
        try StateDirectory.prepare(configuration.directory)
        let lock = try StateLock(directory: configuration.directory, note: ["pid": JSON(Int(getpid()))])
        let identity = try ReplicaIdentity.open(in: configuration.directory, host: configuration.nodeName)
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let transport = try HTTPSTransport(kubeconfig, read: read)
        do {
            try await run(identity, transport, signals) { places in
                lock.write([
                    "pid": JSON(Int(getpid())),
                    "places": .object(JSONObject(places.map { ($0.name, .string($0.address)) })),
                ])
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
        _ identity: String, _ transport: HTTPSTransport, _ signals: UnixSignalsSequence,
        _ whenReady: @escaping @Sendable ([PlatformPlace]) async throws -> Void
    ) async throws {
        let client = { @Sendable (name: String) in KubernetesClient(transport: transport, name: "mangrove-" + name) }
        let namespace = try await leaseNamespace(client("connect"))
        let membership = Membership(
            client: client("replicas"), namespace: namespace, group: Self.group, identity: identity,
            timing: replicas.timing, grace: .seconds(replicas.graceSeconds), logger: logger)
        let discovery = DiscoveryParts(
            configuration: configuration, carriesServiceAddresses: false, client: client, membership: membership,
            logger: logger)
        var services = discovery.services
        services.append(PlatformService(name: "membership") { await membership.run() })
        let answersNames = Gate()
        var places = [PlatformPlace(name: "cluster", address: kubeconfig.server)] + discovery.places
        if let dns {
            let server = try ClusterDNS(
                client: client("dns"), listen: [DNSEndpoint(address: dns.host, port: dns.port)],
                clusterDomain: configuration.clusterDomain, logger: logger)
            services.append(PlatformService(name: "DNS server") {
                try await server.run { _ in answersNames.open() }
            })
            places.append(PlatformPlace(name: "dns", address: "\(dns) (*.\(configuration.clusterDomain))"))
        } else {
            answersNames.open()
        }
        let all = places
        try await PlatformService.run(services, until: signals, logger: logger) {
            try await membership.waitUntilSynced()
            try await discovery.waitUntilReady()
            try await answersNames.wait()
            try await whenReady(all)
        } stopping: {
            await discovery.announceEnd()
        }
    }

    /// The namespace of the Leases, made where it is the default one and missing. The first call: what is wrong with the way
    /// to the cluster is told here.
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
