// Tells 1.x clients of changes by UDP, and hears that they have taken them in.

import Catalogue
import Compression
import Formats
import Logging
import NIO
import Synchronization

/// The datagrams of all listeners. Each listener lends its socket while it runs.
final class Datagrams: Sendable {
    private struct State {
        var machine = DatagramMachine()
        var sockets: [String: any Channel] = [:]
    }

    /// What a datagram can carry; longer lists have to be polled.
    static let largestBytes = 65_000
    /// Longer ones are compressed.
    static let plainBytes = 1_024

    private let catalogue: ServiceCatalogue
    private let state = Mutex(State())

    init(catalogue: ServiceCatalogue) { self.catalogue = catalogue }

    // MARK: Sockets

    /// Binds a socket on a listener's address and keeps it until cancelled.
    func run(on host: String) async throws {
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramAnswers(self))
                }
            }
            .bind(host: host, port: 0).get()
        state.withLock { $0.sockets[host] = channel }
        // Only cancellation ends the wait.
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3_600)) }
        state.withLock { $0.sockets[host] = nil }
        try? await channel.close()
    }

    // MARK: Followers

    /// A client that takes datagrams asked for a service: it gets the newest view, and counts as a subscriber. Nil when
    /// it cannot be told.
    func follow(_ follower: DatagramMachine.Follower) -> ServiceSnapshot? {
        let isTaken = state.withLock { state in
            guard state.sockets[follower.client.listener] != nil else { return false }
            return state.machine.asked(follower, now: .now)
        }
        return isTaken ? try? catalogue.subscribe(follower.subscriber, to: follower.service) : nil
    }

    func changed(_ service: ServiceName) { perform(state.withLock { $0.machine.changed(service) }) }

    func everythingChanged() { perform(state.withLock { $0.machine.everythingChanged() }) }

    func timePassed(now: ContinuousClock.Instant) { perform(state.withLock { $0.machine.timePassed(now: now) }) }

    fileprivate func heard(_ bytes: [UInt8], from address: String, _ port: Int) {
        guard let json = try? JSON(parsing: bytes), json["type"]?.string == "push-ack",
            let version = json["lastRefTime"]?.string.flatMap({ UInt64($0) })
                ?? json["lastRefTime"]?.integer.flatMap({ UInt64(exactly: $0) }),
            let follower = state.withLock({ $0.machine.answered(address: address, port: port, version: version) })
        else { return }
        catalogue.acknowledge(follower.subscriber, follower.service, version: version)
    }

    private func perform(_ actions: [DatagramMachine.Action]) {
        for action in actions {
            switch action {
            case .ended(let follower): catalogue.unsubscribe(follower.subscriber, from: follower.service)
            case .send(let follower, let again): send(follower, again: again)
            }
        }
    }

    private func send(_ follower: DatagramMachine.Follower, again: Bool) {
        guard let snapshot = catalogue.tell(follower.subscriber, of: follower.service, again: again),
            let channel = state.withLock({ $0.sockets[follower.client.listener] }),
            let target = try? SocketAddress(ipAddress: follower.client.address, port: follower.client.port)
        else { return }
        state.withLock { $0.machine.sent(follower, version: snapshot.version, now: .now) }
        guard let bytes = Self.datagram(snapshot, follower.selection) else { return }
        channel.writeAndFlush(
            AddressedEnvelope(remoteAddress: target, data: ByteBuffer(bytes: bytes)), promise: nil)
    }

    /// `{"type":"dom","data":"<ServiceInfo>","lastRefTime":n}`; nil when it is too long.
    static func datagram(_ snapshot: ServiceSnapshot, _ selection: ServiceSelection) -> [UInt8]? {
        let info = ServiceInfo.bytes(
            snapshot, selection, .polled(cacheMilliseconds: ServiceInfo.pushedCacheMilliseconds))
        let json: JSON = [
            "type": "dom", "data": .string(String(decoding: info, as: UTF8.self)),
            "lastRefTime": .integer(Int64(clamping: snapshot.version)),
        ]
        let plain = json.bytes
        if plain.count < plainBytes { return plain }
        guard let small = Deflate.gzip(plain), small.count <= largestBytes else { return nil }
        return small
    }
}

/// Hands answers to the datagrams.
private final class DatagramAnswers: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let datagrams: Datagrams

    init(_ datagrams: Datagrams) { self.datagrams = datagrams }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let address = envelope.remoteAddress.ipAddress, let port = envelope.remoteAddress.port else { return }
        datagrams.heard(Array(envelope.data.readableBytesView), from: address, port)
    }

    /// A client that is gone may be reported here; the others must not suffer.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// Which clients can be pushed to, by what they call themselves (`SwitchDomain`, `UdpPushService.canEnablePush`).
enum PushableAgents {
    private static let least: [(prefix: String, version: [Int])] = [
        ("Nacos-Java-Client", [0, 1, 0]), ("Nacos-SDK-Java", [0, 1, 0]), ("Nacos-Go-Client", [0, 1, 0]),
        ("Nacos-DNS", [0, 4, 3]), ("Nacos-C-Client", [1, 0, 12]), ("vip-client4c", [1, 0, 12]),
        ("Nacos-CSharp-Client", [0, 9, 0]),
    ]

    /// `Nacos-Java-Client:v1.4.2`.
    static func canPush(to agent: String) -> Bool {
        guard let (prefix, wanted) = least.first(where: { agent.hasPrefix($0.prefix) }) else { return false }
        let rest = agent.dropFirst(prefix.utf8.count).drop { !$0.isASCII || !$0.isNumber }
        let version = rest.split(separator: ".").prefix(3).map { Int($0.prefix { $0.isNumber }) ?? 0 }
        guard !version.isEmpty else { return false }
        return !version.lexicographicallyPrecedes(wanted)
    }
}
