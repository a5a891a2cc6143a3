// `/metrics`, `/livez` and `/readyz` of a platform that has no API server to serve them.

import Formats
import HTTPTypes
import Hummingbird
import Logging
import Objects
import Timing

/// Serves plain HTTP for Prometheus and for a kubelet's probes.
struct MetricsListener: Sendable {
    let address: ListenAddress
    let metrics: MetricsRelay
    /// Opened once the platform is ready.
    let ready: Gate
    let logger: Logger

    /// Serves until cancelled; opens the gate once it listens.
    func run(listening: Gate) async throws {
        let router = Router()
        router.get("metrics") { [metrics] _, _ in
            var text = MetricsText()
            metrics.write(to: &text)
            return Self.answer(.ok, text.text, type: MetricsText.contentType)
        }
        router.get("livez") { _, _ in Self.answer(.ok, "ok") }
        router.get("readyz") { [ready] _, _ in
            ready.isOpen ? Self.answer(.ok, "ok") : Self.answer(.serviceUnavailable, "not connected yet")
        }
        let application = Application(
            router: router,
            configuration: .init(address: .hostname(address.host, port: address.port), reuseAddress: true),
            onServerRunning: { _ in listening.open() }, logger: logger)
        do {
            try await application.run()
        } catch {
            throw Problem(.serviceUnavailable, "the metrics cannot be served on \(address): \(error)")
        }
    }

    private static func answer(_ status: HTTPResponse.Status, _ text: String, type: String = "text/plain") -> Response {
        Response(status: status, headers: [.contentType: type], body: .init(byteBuffer: .init(string: text)))
    }
}
