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
        if request.isSmall, let answer = api.answerAtOnce(request) { return .now(carried(answer, to: request)) }
        return .later { carried(await api.answer(request), to: request) }
    }

    private func carried(_ answer: EurekaAnswer, to request: HTTPRequest) -> HTTPAnswer {
        if answer.status >= 400 {
            logger.info(
                "eureka request refused",
                metadata: [
                    "method": .string(request.method), "path": .string(String(request.target.prefix(200))),
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
