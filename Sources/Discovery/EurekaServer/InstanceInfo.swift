// An instance in Eureka's words (`com.netflix.appinfo.InstanceInfo`).

/// `InstanceInfo.InstanceStatus`.
enum InstanceStatus: String, Sendable, Hashable, CaseIterable, Comparable {
    case up = "UP"
    case down = "DOWN"
    case starting = "STARTING"
    case outOfService = "OUT_OF_SERVICE"
    case unknown = "UNKNOWN"

    /// In any case of letters; every other word is `UNKNOWN`, as Netflix reads it.
    init(word: String) {
        self = InstanceStatus(rawValue: word.uppercased()) ?? .unknown
    }

    static func < (left: InstanceStatus, right: InstanceStatus) -> Bool { left.rawValue < right.rawValue }
}

/// What happened last to an instance.
enum ActionType: String, Sendable {
    case added = "ADDED"
    case modified = "MODIFIED"
    case deleted = "DELETED"
}

/// A port and whether it is to be used.
struct InstancePort: Sendable, Hashable {
    var number: Int
    var isEnabled: Bool
}

struct DataCenter: Sendable, Hashable {
    static let amazon = "Amazon"
    static let plainClass = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
    static let amazonClass = "com.netflix.appinfo.AmazonInfo"

    /// `MyOwn`, `Amazon` or `Netflix`.
    var name = "MyOwn"
    /// What the machine says of itself; only Amazon's has any.
    var metadata: [String: String] = [:]

    var className: String { name == Self.amazon ? Self.amazonClass : Self.plainClass }
}

/// How often an instance beats, and when it did; times in milliseconds since 1970.
struct LeaseInfo: Sendable, Hashable {
    var renewalSeconds = 30
    var durationSeconds = 90
    var registered: Int64 = 0
    var lastRenewal: Int64 = 0
    var evicted: Int64 = 0
    var serviceUp: Int64 = 0
}

/// What a client says of itself when it registers, and what it is told of others.
struct InstanceInfo: Sendable, Hashable {
    static let defaultPort = 7001
    static let defaultSecurePort = 7002

    var id: String
    var hostName: String
    /// In capitals.
    var app: String
    var ipAddress: String
    var sid: String?
    /// With an override in force it is the overriding one; the writer's own comes back with its next registration.
    var status: InstanceStatus = .up
    var overriddenStatus: InstanceStatus = .unknown
    var port = InstancePort(number: InstanceInfo.defaultPort, isEnabled: true)
    var securePort = InstancePort(number: InstanceInfo.defaultSecurePort, isEnabled: false)
    var countryID = 1
    var dataCenter = DataCenter()
    var lease = LeaseInfo()
    var metadata: [String: String] = [:]
    var appGroup: String?
    var homePageURL: String?
    var statusPageURL: String?
    var healthCheckURL: String?
    var secureHealthCheckURL: String?
    /// Names that consumers look for, by comma.
    var vipAddress: String?
    var secureVipAddress: String?
    var isCoordinatingDiscoveryServer = false
    var lastUpdated: Int64 = 0
    /// Since when the writer's words are as they are, by the writer's clock.
    var lastDirty: Int64 = 0
    var action: ActionType = .added
    var asgName: String?

    /// The port that others dial: the plain one, unless only the secure one is enabled.
    var mainPort: Int { !port.isEnabled && securePort.isEnabled ? securePort.number : port.number }

    /// The status that counts when a writer says this one and an override is in force: only who is up can be taken out
    /// of service (`DownOrStartingRule`, `OverrideExistsRule`).
    static func status(own: InstanceStatus, overriddenBy override: InstanceStatus) -> InstanceStatus {
        guard own == .up || own == .outOfService, override != .unknown else { return own }
        return override
    }
}
