// The DNS server of the cluster: watches Services and EndpointSlices, answers for the cluster domain, forwards the rest.

import Client
import Logging
import NIO
import Objects
import Reconciling
import Synchronization

/// Serves DNS on every given endpoint over UDP and TCP.
package final class ClusterDNS: Sendable {
    /// Where the machine's own servers are named.
    static let resolverConfiguration = "/etc/resolv.conf"

    private let services: Informer
    private let slices: Informer
    private let domain: DomainName
    private let endpoints: [DNSEndpoint]
    private let upstreams: [String]?
    private let logger: Logger
    private let changed = Signal()

    /// `upstreams` are addresses, with or without a port; nil takes the machine's own servers from /etc/resolv.conf. Throws
    /// when the domain is no domain name.
    package init(
        client: KubernetesClient, listen endpoints: [DNSEndpoint], clusterDomain: String = "cluster.local",
        upstreams: [String]? = nil, logger: Logger
    ) throws(Problem) {
        guard let domain = DomainName(clusterDomain), !domain.labels.isEmpty else {
            throw Problem(.invalid, "\"\(clusterDomain)\" is no domain name")
        }
        self.domain = domain
        self.endpoints = endpoints
        self.upstreams = upstreams
        self.logger = logger
        services = Informer(client: client, resource: .services, logger: logger)
        slices = Informer(client: client, resource: .endpointSlices, logger: logger)
        services.onChange { [changed] _ in changed.raise() }
        slices.onChange { [changed] _ in changed.raise() }
    }

    /// Serves until cancelled. `onListening` is called once, with the endpoints as they were bound. Throws a Problem when an
    /// endpoint cannot be had. Names of the cluster get SERVFAIL until the first full picture is in.
    package func run(onListening: @Sendable ([DNSEndpoint]) -> Void = { _ in }) async throws {
        let upstreams = await upstreamAddresses()
        if upstreams.isEmpty { logger.warning("no upstream DNS server: only names of the cluster can be resolved") }
        let answerer = QueryAnswerer(
            responder: Responder(domain: domain, zone: nil, canForward: !upstreams.isEmpty),
            forwarder: Forwarder(upstreams: upstreams))
        var listeners: [DNSListener] = []
        do {
            for endpoint in endpoints {
                listeners.append(try await DNSListener.bound(to: endpoint, answering: answerer))
            }
            onListening(listeners.map(\.endpoint))
            logger.info("DNS listens", metadata: ["at": "\(listeners.map(\.endpoint.description))"])
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.services.run() }
                group.addTask { await self.slices.run() }
                group.addTask { try await self.keepTrue(answerer) }
                try await group.next()
                group.cancelAll()
            }
        } catch {
            for listener in listeners { await listener.close() }
            throw error
        }
        for listener in listeners { await listener.close() }
    }

    private func keepTrue(_ answerer: QueryAnswerer) async throws {
        try await services.waitUntilSynced()
        try await slices.waitUntilSynced()
        let serverAddress = endpoints.lazy.compactMap { Zone.address($0.address) }.first
        var serial: UInt32 = 0
        while !Task.isCancelled {
            serial &+= 1
            answerer.update(
                Zone(
                    domain: domain, serverAddress: serverAddress, services: services.list(), slices: slices.list(),
                    serial: serial))
            await changed.wait()
        }
        throw CancellationError()
    }

    private func upstreamAddresses() async -> [SocketAddress] {
        var texts = upstreams ?? []
        if upstreams == nil {
            do {
                texts = ResolverConfiguration(text: try await Self.text(of: Self.resolverConfiguration)).servers
            } catch {
                logger.warning("\(Self.resolverConfiguration) cannot be read", metadata: ["error": "\(error)"])
            }
        }
        return texts.compactMap { text in
            let (host, port) = ResolverConfiguration.hostAndPort(text)
            // Forwarding to ourselves would never end.
            guard !endpoints.contains(where: { $0.address == host && $0.port == port }) else { return nil }
            do {
                return try SocketAddress(ipAddress: host, port: port)
            } catch {
                logger.warning("an upstream DNS server is no IP address", metadata: ["server": "\(text)"])
                return nil
            }
        }
    }

    private static func text(of path: String) async throws -> String {
        let io = NonBlockingFileIO(threadPool: .singleton)
        let bytes = try await io.withFileHandle(path: path, mode: .read) { handle in
            try await io.read(
                fileHandle: handle, fromOffset: 0, byteCount: ResolverConfiguration.limitBytes,
                allocator: ByteBufferAllocator())
        }
        return String(buffer: bytes)
    }
}
