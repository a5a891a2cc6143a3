// Serves Eureka clients over HTTP.

import Catalogue
import Formats
import HTTPServing
import Logging

/// The Eureka interface of the catalogue on any number of addresses, as one service to run.
package struct EurekaListener: Sendable {
    /// A peer's batch is the largest body there is; clients keep their connections for 30 s.
    static let limits = ServingLimits(bodyBytes: 4 << 20, headBytes: 32 << 10)

    private let api: EurekaAPI
    private let addresses: [ListenAddress]
    private let logger: Logger
    private let onListening: @Sendable (ListenAddress) async -> Void

    /// Leases are kept in the catalogue whatever happens when `renewalShare` is nil; otherwise none ends while fewer
    /// than this share of the instances beat. `onListening` is called once for each address when it is bound.
    package init(
        catalogue: ServiceCatalogue, addresses: [ListenAddress], renewalShare: Double? = nil, logger: Logger,
        onListening: @escaping @Sendable (ListenAddress) async -> Void = { _ in }
    ) {
        api = EurekaAPI(catalogue: catalogue, preservation: renewalShare.map { SelfPreservation(renewalShare: $0) })
        self.addresses = addresses
        self.logger = logger
        self.onListening = onListening
    }

    /// What `/metrics` tells, for somebody else's as well.
    package func writeMetrics(to text: inout MetricsText) { api.writeMetrics(to: &text) }

    /// Serves until cancelled; throws when an address cannot be bound.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await api.registrations.run() }
            for address in addresses { group.addTask { try await serve(address) } }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func serve(_ address: ListenAddress) async throws {
        let listener = HTTPListener(
            host: address.host, port: address.port, limits: Self.limits,
            secondsSinceEpoch: { Int64(WallClock.milliseconds() / 1_000) }
        ) { request in answer(request) }
        try await listener.run { await onListening(address) }
    }

    private func answer(_ request: HTTPRequest) -> Answering {
        let call = EurekaRequest(request)
        if request.isSmall, let answer = api.answerAtOnce(call) { return .now(carried(answer, to: call)) }
        return .later { carried(await api.answer(call), to: call) }
    }

    private func carried(_ answer: EurekaAnswer, to call: EurekaRequest) -> HTTPAnswer {
        if answer.status >= 400 {
            logger.info(
                "eureka request refused",
                metadata: [
                    "method": .string(call.method), "path": .string(String(call.target.prefix(200))),
                    "status": .stringConvertible(answer.status),
                    "reason": .string(String(decoding: answer.body, as: UTF8.self)),
                ])
        }
        var fields: [(name: String, value: String)] = []
        if let type = answer.contentType { fields.append((name: "Content-Type", value: type)) }
        if answer.isGzip { fields.append((name: "Content-Encoding", value: "gzip")) }
        return HTTPAnswer(status: answer.status, fields: fields, body: answer.body)
    }
}

extension EurekaRequest {
    /// Characters of what a caller says of itself that tell it apart.
    private static let longestIdentity = 200

    init(_ request: HTTPRequest) {
        let identity = ["DiscoveryIdentity-Name", "DiscoveryIdentity-Id", "User-Agent"]
            .map { request.field($0) ?? "" }.joined(separator: "/")
        self.init(
            method: request.method, target: request.target, accept: request.field("Accept") ?? "",
            contentType: request.field("Content-Type") ?? "",
            contentEncoding: request.field("Content-Encoding") ?? "",
            acceptsGzip: request.field("Accept-Encoding")?.contains("gzip") ?? false,
            eurekaAccept: request.field("X-Eureka-Accept") ?? "",
            isReplication: request.field("x-netflix-discovery-replication") == "true",
            identity: String(identity.prefix(Self.longestIdentity)),
            isClient: request.field("DiscoveryIdentity-Name") != nil, peer: request.peer, body: request.body)
    }
}
