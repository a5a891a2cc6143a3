// What happened on the Eureka interface, counted, in Prometheus' text form.

import Formats
import Synchronization

/// Counters since the start.
final class EurekaCounters: Sendable {
    private struct Label: Hashable, Comparable {
        var operation: String
        var status: Int

        static func < (left: Label, right: Label) -> Bool {
            (left.operation, left.status) < (right.operation, right.status)
        }
    }

    private let counts = Mutex<[Label: UInt64]>([:])

    func answered(_ call: EurekaCall, status: Int) {
        count(Self.operation(call.request.method, call.route), status)
    }

    func refused(status: Int) { count("refused", status) }

    private func count(_ operation: String, _ status: Int) {
        counts.withLock { $0[Label(operation: operation, status: status), default: 0] += 1 }
    }

    /// The words of `com.netflix.eureka.util.EurekaMonitors`.
    private static func operation(_ method: String, _ route: EurekaRoute) -> String {
        switch (method, route) {
        case (_, .apps): "getAll"
        case (_, .delta): "getAllDelta"
        case ("POST", .app): "register"
        case (_, .app): "getApplication"
        case ("PUT", .instance): "renew"
        case ("DELETE", .instance): "cancel"
        case (_, .instance), (_, .anyInstance): "getInstance"
        case ("DELETE", .status): "statusOverrideDelete"
        case (_, .status): "statusUpdate"
        case (_, .metadata): "updateMetadata"
        case (_, .vip), (_, .secureVip): "getVip"
        case (_, .replication): "replicationBatch"
        case (_, .metrics): "metrics"
        }
    }

    fileprivate func write(to text: inout MetricsText) {
        text.family("mangrove_eureka_requests_total", "counter", "Requests, by what they asked for and the status.")
        for (label, count) in counts.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            text.sample(
                "mangrove_eureka_requests_total",
                [("operation", label.operation), ("status", String(label.status))], String(count))
        }
    }
}

extension EurekaAPI {
    func writeMetrics(to text: inout MetricsText) {
        counters.write(to: &text)
        let size = view.size
        let gauges: [(String, Int, String)] = [
            ("applications", size.applications, "Applications that consumers are shown."),
            ("instances", size.instances, "Instances that consumers are shown."),
            ("registrations", registrations.count, "Instances that registered here."),
            ("self_preservation", registrations.isPreserving ? 1 : 0, "Whether silent leases are being kept."),
        ]
        for (name, value, help) in gauges { text.single("mangrove_eureka_\(name)", "gauge", value, help) }
    }
}
