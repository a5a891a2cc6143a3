// `/metrics`, `/livez` and `/readyz` of a platform that has no API server to serve them.

import Catalogue
import Formats
import HTTPServing
import Objects
import Timing

/// Serves plain HTTP for Prometheus and for a kubelet's probes.
struct MetricsListener: Sendable {
    let address: ListenAddress
    let metrics: MetricsRelay
    /// Opened once the platform is ready.
    let ready: Gate

    private static let limits = ServingLimits(bodyBytes: 1 << 10, headBytes: 16 << 10)

    /// Serves until cancelled; opens the gate once it listens.
    func run(listening: Gate) async throws {
        let listener = HTTPListener(
            host: address.host, port: address.port, limits: Self.limits,
            secondsSinceEpoch: { Int64(WallClock.milliseconds() / 1_000) }
        ) { request in answer(request) }
        do {
            try await listener.run { listening.open() }
        } catch {
            throw Problem(.serviceUnavailable, "the metrics cannot be served on \(address): \(error)")
        }
    }

    private func answer(_ request: HTTPRequest) -> Answering {
        switch (request.method, request.place.path) {
        case ("GET", "/metrics"):
            .later {
                var text = MetricsText()
                metrics.write(to: &text)
                return Self.answer(200, text.text, type: MetricsText.contentType)
            }
        case ("GET", "/livez"): .now(Self.answer(200, "ok"))
        case ("GET", "/readyz") where ready.isOpen: .now(Self.answer(200, "ok"))
        case ("GET", "/readyz"): .now(Self.answer(503, "not connected yet"))
        default: .now(Self.answer(404, "there are /metrics, /livez and /readyz"))
        }
    }

    private static func answer(_ status: Int, _ text: String, type: String = "text/plain") -> HTTPAnswer {
        HTTPAnswer(status: status, fields: [(name: "Content-Type", value: type)], body: Array(text.utf8))
    }
}
