// An instance as Nacos clients write and read it.

import Catalogue
import Formats

/// What a client declares, in either protocol.
struct NacosInstance: Hashable, Sendable {
    var id = ""
    var ip: String
    var port: Int
    var weight = 1.0
    var healthy = true
    var enabled = true
    var ephemeral = true
    var cluster = NacosNames.defaultCluster
    var metadata: [String: String] = [:]

    static let heaviest = 10_000.0
    static let longestMetadataBytes = 1_048_576

    /// Reads the `instance` of a gRPC request or the `beat` of an HTTP one; both spellings of the cluster occur.
    init(json: JSON) throws(NacosProblem) {
        guard let ip = json["ip"]?.string, !ip.isEmpty else { throw .missing(parameter: "ip") }
        // Python's client sends the port as its user wrote it, which may be a text.
        let number = json["port"]?.integer ?? json["port"]?.string.flatMap { Int($0) }
        guard let port = number else { throw .missing(parameter: "port") }
        self.ip = ip
        self.port = port
        id = json["instanceId"]?.string ?? ""
        weight = json["weight"]?.number ?? 1
        healthy = json["healthy"]?.bool ?? true
        enabled = json["enabled"]?.bool ?? true
        ephemeral = json["ephemeral"]?.bool ?? true
        cluster = NacosNames.cluster(json["clusterName"]?.string ?? json["cluster"]?.string)
        metadata = Self.texts(json["metadata"])
        try check()
    }

    /// Reads the parameters of an HTTP request.
    init(parameters: FormParameters) throws(NacosProblem) {
        guard let ip = parameters["ip"], !ip.isEmpty else { throw .missing(parameter: "ip") }
        guard let portText = parameters["port"] else { throw .missing(parameter: "port") }
        guard let port = Int(portText) else { throw .invalid("Param 'port' is illegal, it should be a number.") }
        self.ip = ip
        self.port = port
        if let text = parameters["weight"], !text.isEmpty, text != "None" {
            guard let number = Double(text) else { throw .invalid("Param 'weight' is illegal, it should be a number.") }
            weight = number
        }
        healthy = parameters.flag("healthy") ?? true
        enabled = parameters.flag("enabled") ?? parameters.flag("enable") ?? true
        ephemeral = parameters.flag("ephemeral") ?? true
        cluster = NacosNames.cluster(parameters["clusterName"] ?? parameters["cluster"])
        if let text = parameters["metadata"], !text.isEmpty, text != "None" {
            metadata = try Self.metadata(parsing: text)
        }
        try check()
    }

    /// Metadata is JSON, or `key=value,key=value`.
    static func metadata(parsing text: String) throws(NacosProblem) -> [String: String] {
        if text.utf8.first == UInt8(ascii: "{") {
            do throws(FormatProblem) {
                return texts(try JSON(parsing: text))
            } catch {
                throw .invalid("Param 'metadata' is illegal: \(error.description)")
            }
        }
        var result: [String: String] = [:]
        for pair in text.split(separator: ",") {
            guard let equals = pair.firstIndex(of: "=") else { throw .invalid("metadata format incorrect: \(text)") }
            result[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
        }
        return result
    }

    /// Clients send numbers and flags in metadata too; Nacos keeps texts.
    private static func texts(_ json: JSON?) -> [String: String] {
        var result: [String: String] = [:]
        for member in json?.object ?? JSONObject() where !member.value.isNull {
            result[member.key] = member.value.string ?? member.value.text
        }
        return result
    }

    private func check() throws(NacosProblem) {
        guard (0...65_535).contains(port) else { throw .invalid("Param 'port' is illegal, it should be 0 to 65535.") }
        guard (0...Self.heaviest).contains(weight) else {
            throw .invalid("instance format invalid: The weights range from 0.0 to \(Self.heaviest)")
        }
        let size = metadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        guard size <= Self.longestMetadataBytes else { throw .invalid("Param 'metadata' is too long.") }
    }

    /// The lease its metadata asks for (`preserved.heart.beat.interval` and the like, in milliseconds).
    var lease: Lease {
        var lease = Lease()
        func milliseconds(_ key: String) -> Int? { metadata[key].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil } }
        if let interval = milliseconds("preserved.heart.beat.interval") { lease.intervalMilliseconds = interval }
        if let timeout = milliseconds("preserved.heart.beat.timeout") { lease.unhealthyAfterMilliseconds = timeout }
        if let timeout = milliseconds("preserved.ip.delete.timeout") { lease.removedAfterMilliseconds = timeout }
        return lease
    }

    func instance(lifetime: Lifetime) -> Instance {
        Instance(
            id: id, address: ip, port: port, weight: weight, isHealthy: healthy, isEnabled: enabled, cluster: cluster,
            metadata: metadata, lifetime: lifetime, origin: .nacos)
    }
}

extension Instance {
    /// The instance as every Nacos answer shows it.
    func nacosJSON(of service: ServiceName) -> JSON {
        var bytes: [UInt8] = []
        writeNacosJSON(of: NacosNames.grouped(service), to: &bytes)
        do {
            return try JSON(parsing: bytes)
        } catch {
            preconditionFailure("what is written as JSON is no JSON: \(error)")
        }
    }

    /// Appends its text. Written at once and not by way of a tree: a push shows every instance of its service.
    func writeNacosJSON(of grouped: String, to bytes: inout [UInt8]) {
        let lease = lifetime.nacosLease
        let id = id.isEmpty ? "\(address)#\(port)#\(cluster)#\(grouped)" : id
        Self.append(#"{"instanceId":"#, id, to: &bytes)
        Self.append(#","ip":"#, address, to: &bytes)
        Self.append(#","port":"#, port, to: &bytes)
        Self.append(#","weight":"#, to: &bytes)
        JSONText.append(weight, to: &bytes)
        Self.append(#","healthy":"#, isHealthy, to: &bytes)
        Self.append(#","enabled":"#, isEnabled, to: &bytes)
        Self.append(#","ephemeral":"#, lifetime != .persistent, to: &bytes)
        Self.append(#","clusterName":"#, cluster, to: &bytes)
        Self.append(#","serviceName":"#, grouped, to: &bytes)
        Self.append(#","metadata":{"#, to: &bytes)
        var separator = ""
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            Self.append(separator, key, to: &bytes)
            Self.append(":", value, to: &bytes)
            separator = ","
        }
        Self.append(#"},"instanceHeartBeatInterval":"#, lease.intervalMilliseconds, to: &bytes)
        Self.append(#","instanceHeartBeatTimeOut":"#, lease.unhealthyAfterMilliseconds, to: &bytes)
        Self.append(#","ipDeleteTimeout":"#, lease.removedAfterMilliseconds, to: &bytes)
        Self.append("}", to: &bytes)
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) { bytes.append(contentsOf: text.utf8) }

    private static func append(_ name: String, _ value: String, to bytes: inout [UInt8]) {
        append(name, to: &bytes)
        JSONText.append(value, to: &bytes)
    }

    private static func append(_ name: String, _ value: Int, to bytes: inout [UInt8]) {
        append(name, to: &bytes)
        JSONText.append(Int64(value), to: &bytes)
    }

    private static func append(_ name: String, _ value: Bool, to bytes: inout [UInt8]) {
        append(name, to: &bytes)
        append(value ? "true" : "false", to: &bytes)
    }
}

extension Lifetime {
    var isLease: Bool { if case .lease = self { true } else { false } }
    var nacosLease: Lease { if case .lease(let lease) = self { lease } else { Lease() } }
}
