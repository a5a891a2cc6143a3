// Writes instances and applications as Netflix' server does, in JSON and in XML.

import Formats

/// The forms an answer comes in.
struct AnswerForm: Hashable, Sendable {
    var isJSON: Bool
    /// Only what a load balancer needs (`X-Eureka-Accept: compact`).
    var isCompact = false

    var contentType: String { isJSON ? "application/json" : "application/xml" }
}

/// Several applications, read one by one so that a large registry is never there twice.
struct ApplicationSource {
    /// 1 for a full list; a delta's grows.
    var version: UInt64
    /// `UP_2_`, by which clients check their copy: the number of instances of each status in the whole registry.
    var hashCode: String
    var names: [String]
    var instances: (String) -> [InstanceInfo]
}

/// One member of an instance, in the order of `Converters.InstanceInfoConverter` and `EurekaJacksonCodec`.
enum InstanceField {
    case text(String, String)
    /// Written without quotes in JSON.
    case number(String, Int)
    case overridden(InstanceStatus)
    case port(String, InstancePort)
    case dataCenter(DataCenter)
    case lease(LeaseInfo)
    case metadata([String: String])

    /// The members that are written of an instance; texts that it does not have are left out.
    static func fields(of info: InstanceInfo, compact isCompact: Bool) -> [InstanceField] {
        var fields: [InstanceField] = []
        fields.reserveCapacity(24)
        func add(_ name: String, _ text: String?) { if let text { fields.append(.text(name, text)) } }
        add("instanceId", info.id)
        add("hostName", info.hostName)
        add("app", info.app)
        add("ipAddr", info.ipAddress)
        if !isCompact { add("sid", info.sid) }
        add("status", info.status.rawValue)
        if !isCompact { fields.append(.overridden(info.overriddenStatus)) }
        fields.append(.port("port", info.port))
        fields.append(.port("securePort", info.securePort))
        if !isCompact { fields.append(.number("countryId", info.countryID)) }
        fields.append(.dataCenter(info.dataCenter))
        if !isCompact {
            fields.append(.lease(info.lease))
            fields.append(.metadata(info.metadata))
            add("appGroupName", info.appGroup)
            add("homePageUrl", info.homePageURL)
            add("statusPageUrl", info.statusPageURL)
            add("healthCheckUrl", info.healthCheckURL)
            add("secureHealthCheckUrl", info.secureHealthCheckURL)
        }
        add("vipAddress", info.vipAddress)
        add("secureVipAddress", info.secureVipAddress)
        if !isCompact { add("isCoordinatingDiscoveryServer", info.isCoordinatingDiscoveryServer ? "true" : "false") }
        add("lastUpdatedTimestamp", String(info.lastUpdated))
        if !isCompact { add("lastDirtyTimestamp", String(info.lastDirty)) }
        add("actionType", info.action.rawValue)
        add("asgName", info.asgName)
        return fields
    }
}

extension LeaseInfo {
    /// The members in Netflix' order; XML writes them all as they are, JSON as numbers.
    var fields: [(name: String, value: Int64)] {
        [
            ("renewalIntervalInSecs", Int64(renewalSeconds)), ("durationInSecs", Int64(durationSeconds)),
            ("registrationTimestamp", registered), ("lastRenewalTimestamp", lastRenewal),
            ("evictionTimestamp", evicted), ("serviceUpTimestamp", serviceUp),
        ]
    }
}

/// The Java class of an empty map, which Netflix' codecs name.
let emptyMapClass = "java.util.Collections$EmptyMap"

/// Answers in either form.
enum RegistryWriter {
    static func bytes(_ info: InstanceInfo, _ form: AnswerForm) -> [UInt8] {
        if form.isJSON {
            var writer = JSONAnswerWriter(isCompact: form.isCompact)
            writer.enveloped("instance") { $0.write(info) }
            return writer.output
        }
        var writer = XMLAnswerWriter(isCompact: form.isCompact)
        writer.write(info, level: 0)
        return writer.output
    }

    static func bytes(application name: String, _ instances: [InstanceInfo], _ form: AnswerForm) -> [UInt8] {
        if form.isJSON {
            var writer = JSONAnswerWriter(isCompact: form.isCompact)
            writer.enveloped("application") { $0.write(name, instances) }
            return writer.output
        }
        var writer = XMLAnswerWriter(isCompact: form.isCompact)
        writer.write(name, instances, level: 0)
        return writer.output
    }

    static func bytes(_ source: ApplicationSource, _ form: AnswerForm) -> [UInt8] {
        if form.isJSON {
            var writer = JSONAnswerWriter(isCompact: form.isCompact)
            writer.enveloped("applications") { $0.write(source) }
            return writer.output
        }
        var writer = XMLAnswerWriter(isCompact: form.isCompact)
        writer.write(source)
        return writer.output
    }
}
