// A snapshot as Nacos' ServiceInfo: always the full list, with what the reader asked to leave out left out.

import Catalogue
import Formats

/// What a reader wants of a service.
struct ServiceSelection: Sendable, Hashable {
    /// Clusters by comma, empty for all; clients find their answer again by this very text.
    var clusters = ""
    var isHealthyOnly = false

    /// Disabled instances are shown to nobody.
    func instances(of snapshot: ServiceSnapshot) -> [Instance] {
        let wanted = Set(clusters.split(separator: ",").map(String.init))
        return snapshot.instances.filter { instance in
            instance.isEnabled && (wanted.isEmpty || wanted.contains(instance.cluster))
                && (!isHealthyOnly || instance.isHealthy)
        }
    }
}

enum ServiceInfo {
    /// How long a client of the connection may go without asking again.
    static let connectedCacheMilliseconds = 10_000
    /// How often a polling client is asked to come; a rollout waits as long for it.
    static let polledCacheMilliseconds = 3_000

    /// Over gRPC, where the name goes without its group. `lastRefTime` is the version: strictly growing per service.
    static func connected(_ snapshot: ServiceSnapshot, _ selection: ServiceSelection) -> JSON {
        [
            "name": .string(snapshot.service.name), "groupName": .string(snapshot.service.group),
            "clusters": .string(selection.clusters), "cacheMillis": JSON(connectedCacheMilliseconds),
            "hosts": hosts(snapshot, selection), "lastRefTime": .integer(Int64(clamping: snapshot.version)),
            "checksum": "", "allIps": false, "reachProtectionThreshold": false, "valid": true,
        ]
    }

    /// Over HTTP v1, where the name must be `GROUP@@name` (`InstanceOperatorClientImpl#listInstance`).
    static func polled(_ snapshot: ServiceSnapshot, _ selection: ServiceSelection) -> JSON {
        [
            "name": .string(NacosNames.grouped(snapshot.service)), "groupName": .string(snapshot.service.group),
            "clusters": .string(selection.clusters), "cacheMillis": JSON(polledCacheMilliseconds),
            "hosts": hosts(snapshot, selection), "lastRefTime": .integer(Int64(clamping: snapshot.version)),
            "checksum": "", "allIPs": false, "reachProtectionThreshold": false, "valid": true,
        ]
    }

    private static func hosts(_ snapshot: ServiceSnapshot, _ selection: ServiceSelection) -> JSON {
        .array(selection.instances(of: snapshot).map { $0.nacosJSON(of: snapshot.service) })
    }
}

/// A page of service names.
enum ServicePage {
    static let largest = 500

    static func names(
        _ catalogue: ServiceCatalogue, namespace: String?, group: String?, number: Int, size: Int
    ) -> (count: Int, names: [String]) {
        let wantedNamespace = NacosNames.catalogueNamespace(namespace)
        let wantedGroup = group.flatMap { $0.isEmpty ? nil : $0 } ?? ServiceName.defaultGroup
        let all = catalogue.services().filter { $0.namespace == wantedNamespace && $0.group == wantedGroup }.map(\.name)
        let size = min(max(size, 1), largest)
        let skipped = (max(number, 1) - 1).multipliedReportingOverflow(by: size)
        guard !skipped.overflow else { return (all.count, []) }
        return (all.count, Array(all.dropFirst(skipped.partialValue).prefix(size)))
    }
}
