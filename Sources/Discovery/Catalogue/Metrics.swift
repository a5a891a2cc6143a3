// What the catalogue holds, in Prometheus' text form.

import Formats

extension ServiceCatalogue {
    package func writeMetrics(to text: inout MetricsText) {
        let counts = counts
        text.single(
            "mangrove_catalogue_services", "gauge", counts.services, "Services that show at least one instance.")
        text.family(
            "mangrove_catalogue_instances", "gauge", "Instances that writers declared, by the world they did it in.")
        for (origin, count) in counts.declared.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            text.sample("mangrove_catalogue_instances", [("origin", origin.rawValue)], String(count))
        }
        text.single(
            "mangrove_catalogue_implied_instances", "gauge", counts.implied, "Instances that follow from others.")
        text.single(
            "mangrove_catalogue_subscriptions", "gauge", counts.subscriptions, "Consumers of services that are known.")
        text.single(
            "mangrove_catalogue_withdrawn_addresses", "gauge", withdrawnAddresses.count,
            "Addresses of pods that are leaving.")
    }
}
