// Instances and machines that several suites begin with.

import Catalogue
import Formats

@testable import EurekaServer

enum Sample {
    static let start = Moment(instant: ContinuousClock.now, milliseconds: 1_700_000_000_000)

    static func moment(_ seconds: Int) -> Moment {
        Moment(
            instant: start.instant + .seconds(seconds), milliseconds: start.milliseconds + Int64(seconds) * 1_000)
    }

    /// What Spring Cloud's client registers, as its Jackson codec writes it.
    static func registration(
        _ app: String = "ORDERS", id: String = "10.1.0.7:orders:8080", address: String = "10.1.0.7", port: Int = 8080,
        status: String = "UP", dirty: Int64 = 1_700_000_000_000
    ) -> JSON {
        [
            "instanceId": .string(id), "hostName": .string(address), "app": .string(app), "ipAddr": .string(address),
            "status": .string(status), "overriddenStatus": "UNKNOWN",
            "port": ["$": JSON(port), "@enabled": "true"], "securePort": ["$": 443, "@enabled": "false"],
            "countryId": 1,
            "dataCenterInfo": ["@class": .string(DataCenter.plainClass), "name": "MyOwn"],
            "leaseInfo": [
                "renewalIntervalInSecs": 10, "durationInSecs": 30, "registrationTimestamp": 0,
                "lastRenewalTimestamp": 0,
                "evictionTimestamp": 0, "serviceUpTimestamp": 0,
            ], "metadata": ["management.port": "8081", "zone": "a"], "homePageUrl": "http://10.1.0.7:8080/",
            "statusPageUrl": "http://10.1.0.7:8081/actuator/info",
            "healthCheckUrl": "http://10.1.0.7:8081/actuator/health",
            "vipAddress": .string(app.lowercased()), "secureVipAddress": .string(app.lowercased()),
            "isCoordinatingDiscoveryServer": "false", "lastUpdatedTimestamp": "1700000000000",
            "lastDirtyTimestamp": .string(String(dirty)),
        ]
    }

    static func info(_ tree: JSON = registration()) throws -> InstanceInfo { try InstanceInfo(tree: tree, now: 0) }
}
