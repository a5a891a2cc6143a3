// The DNS server of the cluster: watches Services and EndpointSlices, answers for the cluster domain, forwards the
// rest.

import Client
import Formats
import Logging
import NIO
import Objects
import Reconciling
import Synchronization

/// Serves DNS on every given endpoint over UDP and TCP.
package final class ClusterDNS: Sendable {
    /// Where the machine's own servers are named.
    package static let resolverConfiguration = "/etc/resolv.conf"
    /// Where they are named when the first names systemd-resolved, which may ask us in turn.
    static let resolvedConfiguration = "/run/systemd/resolve/resolv.conf"
    static let resolvedStub = "127.0.0.53"
    /// How often these files are read again: a machine changes networks.
    static let upstreamPeriod = Duration.seconds(5)

    private let services: Informer
    private let slices: Informer
    private let domain: DomainName
    private let endpoints: [DNSEndpoint]
    private let upstreams: [String]?
    private let clock: WallClock
    private let logger: Logger
    private let changed = Signal()
    private let changedServices = Mutex<Set<ObjectKey>>([])
    private let answerer = Mutex<QueryAnswerer?>(nil)

    /// `upstreams` are addresses, with or without a port; nil takes the machine's own servers from /etc/resolv.conf and
    /// follows its changes. Throws when the domain is no domain name.
    package init(
        client: KubernetesClient, listen endpoints: [DNSEndpoint], clusterDomain: String = "cluster.local",
        upstreams: [String]? = nil, clock: WallClock = .system, logger: Logger
    ) throws(Problem) {
        guard let domain = DomainName(clusterDomain), !domain.isRoot else {
            throw Problem(.invalid, "\"\(clusterDomain)\" is no domain name")
        }
        self.domain = domain
        self.endpoints = endpoints
        self.upstreams = upstreams
        self.clock = clock
        self.logger = logger
        services = Informer(client: client, resource: .services, logger: logger)
        slices = Informer(
            client: client, resource: .endpointSlices,
            indexes: ["service": { slice in Self.service(of: slice).map { [$0.description] } ?? [] }], logger: logger)
        services.onChange { [self] change in
            changedServices.withLock { _ = $0.insert(change.key) }
            changed.raise()
        }
        slices.onChange { [self] change in
            // A slice may have gone over to another service: both change.
            let keys = [change.old, change.new].compactMap { $0.flatMap(Self.service) }
            changedServices.withLock { $0.formUnion(keys) }
            changed.raise()
        }
    }

    private static func service(of slice: Object) -> ObjectKey? {
        slice.labels["kubernetes.io/service-name"].map { ObjectKey(namespace: slice.namespace, name: $0) }
    }

    /// Adds what this server counts to `/metrics`; nothing before it runs.
    package func writeMetrics(to text: inout MetricsText) {
        answerer.withLock { $0 }?.writeMetrics(to: &text)
    }

    /// Serves until cancelled. Throws a Problem when an endpoint cannot be had. Names of the cluster get SERVFAIL until
    /// the first full picture is in; then `onServing` is called once, with the endpoints as they were bound.
    package func run(onServing: @escaping @Sendable ([DNSEndpoint]) -> Void = { _ in }) async throws {
        let named = await upstreamNames()
        let upstreams = addresses(named)
        if upstreams.isEmpty { logger.warning("no upstream DNS server: only names of the cluster can be resolved") }
        let answerer = QueryAnswerer(
            responder: Responder(domain: domain, zone: nil, canForward: !upstreams.isEmpty),
            forwarder: Forwarder(upstreams: upstreams))
        self.answerer.withLock { $0 = answerer }
        var listeners: [DNSListener] = []
        do {
            for endpoint in endpoints {
                listeners.append(try await DNSListener.bound(to: endpoint, answering: answerer))
            }
            let bound = listeners.map(\.endpoint)
            logger.info("DNS listens", metadata: ["at": "\(bound.map(\.description))"])
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.services.run() }
                group.addTask { await self.slices.run() }
                group.addTask { try await self.keepTrue(answerer) { onServing(bound) } }
                if self.upstreams == nil { group.addTask { try await self.followUpstreams(from: named, answerer) } }
                try await group.next()
                group.cancelAll()
            }
        } catch {
            for listener in listeners { await listener.close() }
            throw error
        }
        for listener in listeners { await listener.close() }
    }

    private func keepTrue(_ answerer: QueryAnswerer, onServing: @Sendable () -> Void) async throws {
        try await services.waitUntilSynced()
        try await slices.waitUntilSynced()
        var machine = ZoneMachine(
            domain: domain, serverAddresses: endpoints.compactMap { IPAddress($0.address) },
            serial: UInt32(truncatingIfNeeded: clock.now().secondsSinceEpoch), seed: UInt64.random(in: .min ... .max))
        var isServing = false
        while !Task.isCancelled {
            let keys = changedServices.withLock { keys in
                defer { keys = [] }
                return keys
            }
            for key in keys {
                machine.changed(key, to: services.get(key), slices: slices.indexed("service", key.description))
            }
            answerer.update(machine.zone())
            if !isServing { onServing() }
            isServing = true
            await changed.wait()
        }
        throw CancellationError()
    }

    /// Forwards to the servers that the machine names now. A file that names none is one that is being written, or was
    /// taken away: the ones known are better than none.
    private func followUpstreams(from first: [String], _ answerer: QueryAnswerer) async throws {
        var known = first
        while true {
            try await Task.sleep(for: Self.upstreamPeriod)
            let named = await upstreamNames()
            guard named != known, !named.isEmpty else { continue }
            known = named
            let upstreams = addresses(named)
            guard !upstreams.isEmpty else { continue }
            logger.info("other upstream DNS servers", metadata: ["servers": "\(named)"])
            answerer.use(upstreams: upstreams)
        }
    }

    private func upstreamNames() async -> [String] {
        if let upstreams { return upstreams }
        let texts = await servers(in: Self.resolverConfiguration)
        return texts == [Self.resolvedStub] ? await servers(in: Self.resolvedConfiguration) : texts
    }

    private func addresses(_ texts: [String]) -> [SocketAddress] {
        let found = texts.compactMap { text -> SocketAddress? in
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
        return upstreams == nil ? Array(found.prefix(ResolverConfiguration.serverLimit)) : found
    }

    /// None where the file cannot be read.
    private func servers(in path: String) async -> [String] {
        do {
            return ResolverConfiguration(text: try await Self.text(of: path)).servers
        } catch {
            logger.debug("\(path) cannot be read", metadata: ["error": "\(error)"])
            return []
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
