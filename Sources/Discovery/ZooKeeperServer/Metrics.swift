// What `mntr` tells, in Prometheus' text form too.

import Formats
import Synchronization

/// The facts of a server at a moment; `isCounter` tells what only ever grows.
struct MonitorFact: Sendable {
    var name: String
    var value: Int
    var isCounter = false
}

/// The last facts that the keeper noted on its loop, for readers elsewhere.
final class MonitorBoard: Sendable {
    private let facts = Mutex<[MonitorFact]>([])

    func note(_ facts: [MonitorFact]) { self.facts.withLock { $0 = facts } }

    func write(to text: inout MetricsText) {
        for fact in facts.withLock({ $0 }) {
            let name = "mangrove_zookeeper_" + fact.name + (fact.isCounter ? "_total" : "")
            text.single(name, fact.isCounter ? "counter" : "gauge", fact.value, "mntr's zk_\(fact.name).")
        }
    }
}

extension Keeper {
    /// As of now.
    var facts: [MonitorFact] {
        [
            MonitorFact(name: "packets_received", value: counters.received, isCounter: true),
            MonitorFact(name: "packets_sent", value: counters.sent, isCounter: true),
            MonitorFact(name: "num_alive_connections", value: connections.count),
            MonitorFact(name: "outstanding_requests", value: outstanding),
            MonitorFact(name: "znode_count", value: tree.count), MonitorFact(name: "watch_count", value: watches.count),
            MonitorFact(name: "ephemerals_count", value: tree.ephemerals.values.reduce(0) { $0 + $1.count }),
            MonitorFact(name: "approximate_data_size", value: tree.dataBytes),
            MonitorFact(name: "global_sessions", value: sessions.count),
            MonitorFact(name: "stale_sessions_expired", value: counters.expired, isCounter: true),
            MonitorFact(name: "fsync_count", value: counters.commits, isCounter: true),
            MonitorFact(name: "connection_rejected", value: counters.refused, isCounter: true),
        ]
    }
}
