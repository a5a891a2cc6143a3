// Reads an instance from the tree of a JSON or XML body.

import Formats

extension InstanceInfo {
    /// Bytes of one text.
    static let longestText = 4_096
    /// Bytes of instance ids, host names, applications and addresses.
    static let longestName = 512
    /// Bytes of all metadata together.
    static let longestMetadata = 16_384

    /// Reads what Netflix' codecs accept: numbers and flags also as texts, unknown members left alone. `now` is the
    /// time of a writer that names none. Refuses what `ApplicationResource#addInstance` refuses, in its words.
    init(tree: JSON, now: Int64) throws(EurekaProblem) {
        guard let members = tree.object else { throw .invalid("the body is no instance") }
        func text(_ key: String) throws(EurekaProblem) -> String? { try Self.text(members[key], key) }
        func number(_ key: String) -> Int64? { Self.number(members[key]) }
        func status(_ key: String) throws(EurekaProblem) -> InstanceStatus? {
            try text(key).map { InstanceStatus(word: $0) }
        }
        let hostName = try text("hostName") ?? ""
        let id = try text("instanceId") ?? ""
        try self.init(
            id: Self.name(id.isEmpty ? hostName : id, else: "Missing instanceId"),
            hostName: Self.name(hostName, else: "Missing hostname"),
            app: Self.name(try text("app")?.uppercased(), else: "Missing appName"),
            ipAddress: Self.name(try text("ipAddr"), else: "Missing ip address"))
        sid = try text("sid").flatMap { ["", "na", "unknown"].contains($0) ? nil : $0 }
        self.status = try status("status") ?? .up
        let spellings = [try status("overriddenStatus"), try status("overriddenstatus")]
        overriddenStatus = spellings.lazy.compactMap { $0 }.first ?? .unknown
        port = try Self.port(members["port"], else: port)
        securePort = try Self.port(members["securePort"], else: securePort)
        countryID = number("countryId").flatMap { Int(exactly: $0) } ?? 1
        dataCenter = try Self.dataCenter(members["dataCenterInfo"])
        lease = Self.lease(members["leaseInfo"])
        metadata = try Self.metadata(members["metadata"])
        appGroup = try text("appGroupName")?.uppercased()
        homePageURL = try text("homePageUrl")
        statusPageURL = try text("statusPageUrl")
        healthCheckURL = try text("healthCheckUrl")
        secureHealthCheckURL = try text("secureHealthCheckUrl")
        vipAddress = try text("vipAddress")
        secureVipAddress = try text("secureVipAddress")
        isCoordinatingDiscoveryServer = try text("isCoordinatingDiscoveryServer") == "true"
        lastUpdated = number("lastUpdatedTimestamp") ?? now
        lastDirty = number("lastDirtyTimestamp") ?? now
        asgName = try text("asgName")
    }

    private static func name(_ text: String?, else missing: String) throws(EurekaProblem) -> String {
        guard let text, !text.isEmpty else { throw .invalid(missing) }
        guard text.utf8.count <= longestName, text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw .invalid("\(text.prefix(40)) is too long (more than \(longestName) bytes) or has control characters")
        }
        return text
    }

    /// The text of a member; of one with attributes, the text beside them.
    private static func text(_ value: JSON?, _ key: String) throws(EurekaProblem) -> String? {
        let text: String
        switch value {
        case .string(let value): text = value
        case .integer(let value): text = String(value)
        case .number(let value): text = JSON.number(value).text
        case .bool(let value): text = value ? "true" : "false"
        case .object(let members): return try self.text(members["$"], key)
        case nil, .null, .array: return nil
        }
        guard text.utf8.count <= longestText else { throw .invalid("\(key) is longer than \(longestText) bytes") }
        return text
    }

    private static func number(_ value: JSON?) -> Int64? {
        switch value {
        case .integer(let value): value
        case .number(let value): Int64(exactly: value)
        case .string(let text): Int64(text)
        default: nil
        }
    }

    private static func port(_ value: JSON?, else standard: InstancePort) throws(EurekaProblem) -> InstancePort {
        guard let value, !value.isNull else { return standard }
        let isEnabled = try text(value["@enabled"], "@enabled") ?? (standard.isEnabled ? "true" : "false")
        guard let number = number(value["$"] ?? value), (0...65_535).contains(number) else {
            throw .invalid("a port must be a number from 0 to 65535")
        }
        return InstancePort(number: Int(number), isEnabled: isEnabled == "true")
    }

    private static func dataCenter(_ value: JSON?) throws(EurekaProblem) -> DataCenter {
        guard let value, value.object != nil else { throw .invalid("Missing dataCenterInfo") }
        let name = try text(value["name"], "dataCenterInfo.name") ?? ""
        guard !name.isEmpty else { throw .invalid("Missing dataCenterInfo Name") }
        guard ["MyOwn", DataCenter.amazon, "Netflix"].contains(name) else {
            throw .invalid("dataCenterInfo.name must be MyOwn, Amazon or Netflix, not \(name.prefix(40))")
        }
        return DataCenter(name: name, metadata: try metadata(value["metadata"]))
    }

    private static func lease(_ value: JSON?) -> LeaseInfo {
        var lease = LeaseInfo()
        func seconds(_ key: String, _ standard: Int) -> Int {
            // As LeaseInfo.Builder: what is no positive number is the default.
            guard let number = number(value?[key]), (1...86_400).contains(number) else { return standard }
            return Int(number)
        }
        lease.renewalSeconds = seconds("renewalIntervalInSecs", lease.renewalSeconds)
        lease.durationSeconds = seconds("durationInSecs", lease.durationSeconds)
        return lease
    }

    private static func metadata(_ value: JSON?) throws(EurekaProblem) -> [String: String] {
        var result: [String: String] = [:]
        var size = 0
        // Attributes say of which Java class the map is.
        for member in value?.object ?? JSONObject() where !member.key.hasPrefix("@") {
            let text = try text(member.value, "metadata.\(member.key)") ?? ""
            size += member.key.utf8.count + text.utf8.count
            result[member.key] = text
        }
        guard size <= longestMetadata else { throw .invalid("metadata is longer than \(longestMetadata) bytes") }
        return result
    }
}
