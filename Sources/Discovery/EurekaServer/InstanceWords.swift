// An instance on its way between Eureka and the catalogue: raw words in, rendered out.

import Catalogue
import Formats
import Frameworks

extension InstanceInfo {
    /// The key of metadata by which clients tell zones apart.
    static let zoneKey = "zone"
    static let plainPortName = "http"
    static let securePortName = "https"

    // MARK: To the catalogue

    /// The record that the catalogue keeps. What only Eureka understands goes into its words.
    var record: Instance {
        var ports: [String: Int] = [:]
        if port.isEnabled { ports[Self.plainPortName] = port.number }
        if securePort.isEnabled { ports[Self.securePortName] = securePort.number }
        return Instance(
            id: id, address: ipAddress, port: mainPort, ports: ports, weight: SpringWeight.weight(in: metadata),
            isHealthy: status == .up || status == .outOfService, isEnabled: status != .outOfService,
            metadata: metadata, words: words,
            lifetime: .lease(.eureka(renewalSeconds: lease.renewalSeconds, durationSeconds: lease.durationSeconds)),
            origin: .eureka)
    }

    /// What the other fields of a record cannot say, in the members of Eureka's own JSON.
    private var words: String {
        var fields: [InstanceField] = [
            .text("hostName", hostName), .text("app", app), .text("ipAddr", ipAddress),
            .text("status", status.rawValue), .port("port", port), .port("securePort", securePort), .lease(lease),
            .text("lastDirtyTimestamp", String(lastDirty)), .dataCenter(dataCenter),
        ]
        if overriddenStatus != .unknown { fields.append(.text("overriddenStatus", overriddenStatus.rawValue)) }
        if countryID != 1 { fields.append(.number("countryId", countryID)) }
        if isCoordinatingDiscoveryServer { fields.append(.text("isCoordinatingDiscoveryServer", "true")) }
        let texts = [
            ("sid", sid), ("appGroupName", appGroup), ("homePageUrl", homePageURL), ("statusPageUrl", statusPageURL),
            ("healthCheckUrl", healthCheckURL), ("secureHealthCheckUrl", secureHealthCheckURL),
            ("vipAddress", vipAddress), ("secureVipAddress", secureVipAddress), ("asgName", asgName),
        ]
        for (key, text) in texts { if let text { fields.append(.text(key, text)) } }
        var writer = JSONAnswerWriter(isCompact: false)
        writer.write(fields)
        return String(decoding: writer.output, as: UTF8.self)
    }

    // MARK: From the catalogue

    /// What an Eureka client once said, from its record. Nil for records of other worlds and for those whose words are
    /// not kept.
    init?(record: Instance) {
        guard record.origin == .eureka, !record.isImplied, !record.words.isEmpty,
            var tree = try? JSON(parsing: record.words), tree.object != nil
        else { return nil }
        tree["instanceId"] = .string(record.id)
        guard let info = try? InstanceInfo(tree: tree, now: 0) else { return nil }
        self = info
        metadata = record.metadata
        lease.registered = Int64(tree["leaseInfo", "registrationTimestamp"]?.integer ?? 0)
        lease.serviceUp = Int64(tree["leaseInfo", "serviceUpTimestamp"]?.integer ?? 0)
        lease.lastRenewal = lease.registered
    }

    /// An instance as Eureka shows it, whoever declared it. `updated` is when it began to look so.
    init(_ instance: Instance, of service: ServiceName, updated: Int64) {
        if let own = InstanceInfo(record: instance) {
            self = own
            // Its own word counts, unless another world knows that it takes no calls.
            let shown = Self.status(of: instance)
            if status == .up, shown != .up { status = shown }
        } else {
            self.init(foreign: instance, of: service, updated: updated)
        }
        lastUpdated = updated
    }

    private init(foreign instance: Instance, of service: ServiceName, updated: Int64) {
        let vip = EurekaNames.vipAddress(of: service)
        // Consumers dial the host name, and an instance of another world is known by its address.
        self.init(
            id: Self.foreignID(instance, vip), hostName: instance.address, app: EurekaNames.app(of: service),
            ipAddress: instance.address)
        status = Self.status(of: instance)
        port = InstancePort(number: instance.port, isEnabled: true)
        let secure = instance.ports[Self.securePortName]
        securePort = InstancePort(number: secure ?? Self.defaultSecurePort, isEnabled: secure != nil)
        metadata = SpringWeight.metadata(instance.metadata, weight: instance.weight)
        if instance.cluster != Self.defaultCluster, metadata[Self.zoneKey] == nil {
            metadata[Self.zoneKey] = instance.cluster
        }
        let host = instance.address.contains(":") ? "[\(instance.address)]" : instance.address
        homePageURL = "http://\(host):\(instance.port)/"
        vipAddress = vip
        secureVipAddress = vip
        lease.registered = updated
        lease.lastRenewal = updated
        lease.serviceUp = updated
        lastDirty = updated
    }

    private static let defaultCluster = "DEFAULT"

    /// The id that an instance of another world has here: `address:name:port`, as Spring makes them.
    private static func foreignID(_ instance: Instance, _ vip: String) -> String {
        let id = "\(instance.address):\(vip):\(instance.port)"
        return instance.cluster == defaultCluster ? id : id + ":" + instance.cluster
    }

    private static func status(of instance: Instance) -> InstanceStatus {
        if !instance.isEnabled || instance.weight <= 0 { return .outOfService }
        return instance.isHealthy ? .up : .down
    }
}
