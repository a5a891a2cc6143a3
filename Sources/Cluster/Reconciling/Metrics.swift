// What a group of replicas is like, in Prometheus' text form.

import Formats

extension Membership {
    package func writeMetrics(to text: inout MetricsText) {
        text.single(
            "mangrove_replica_leading", "gauge", isLeading ? 1 : 0, "Whether this replica does what is done once.")
        text.single("mangrove_replicas_living", "gauge", living.count, "Replicas that live, as this one sees it.")
    }
}
