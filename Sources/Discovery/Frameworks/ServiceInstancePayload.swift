// The JSON that curator-x-discovery keeps in `/services/{application}/{id}`.

import Formats

/// An application-level instance in ZooKeeper (`org.apache.curator.x.discovery.ServiceInstance`).
///
/// Readers deserialise the payload by its `@class` and fail on one that is not theirs, so it is rendered in the flavour
/// of whoever is to read it.
package struct ServiceInstancePayload: Hashable, Sendable {
    package enum Flavour: Hashable, Sendable {
        case dubbo
        case springCloud
        /// Written with another payload, or with none.
        case other(String?)

        package var className: String? {
            switch self {
            case .dubbo: "org.apache.dubbo.registry.zookeeper.ZookeeperInstance"
            case .springCloud: "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance"
            case .other(let name): name
            }
        }

        package init(className: String?) {
            self =
                switch className {
                case Flavour.dubbo.className: .dubbo
                case Flavour.springCloud.className: .springCloud
                default: .other(className)
                }
        }
    }

    package var flavour: Flavour
    package var name: String
    package var id: String
    package var address: String
    /// 0 when there is none.
    package var port: Int
    package var securePort: Int?
    /// The id inside the payload; Spring Cloud's is `application-1` and the like.
    package var payloadID: String
    package var metadata: [String: String]
    package var registeredMilliseconds: Int64
    package var isEnabled: Bool

    package init(
        _ flavour: Flavour, name: String, id: String, address: String, port: Int, securePort: Int? = nil,
        payloadID: String? = nil, metadata: [String: String] = [:], registeredMilliseconds: Int64 = 0,
        isEnabled: Bool = true
    ) {
        self.flavour = flavour
        self.name = name
        self.id = id
        self.address = address
        self.port = port
        self.securePort = securePort
        self.payloadID = payloadID ?? (flavour == .springCloud ? "application-1" : id)
        self.metadata = metadata
        self.registeredMilliseconds = registeredMilliseconds
        self.isEnabled = isEnabled
    }

    /// Nil when these bytes are no such instance: no JSON object with a name and an address.
    package init?(_ bytes: some Collection<UInt8>) {
        guard let tree = try? JSON(parsing: bytes), let name = tree["name"]?.string,
            let address = tree["address"]?.string, !address.isEmpty
        else { return nil }
        let payload = tree["payload"]
        let port = tree["port"]?.integer ?? 0
        guard (0...65_535).contains(port) else { return nil }
        self.init(
            Flavour(className: payload?["@class"]?.string), name: name,
            id: tree["id"]?.string ?? "\(address):\(port)", address: address, port: port,
            securePort: tree["sslPort"]?.integer, payloadID: payload?["id"]?.string,
            metadata: Self.texts(payload?["metadata"]),
            registeredMilliseconds: Int64(tree["registrationTimeUTC"]?.integer ?? 0),
            isEnabled: tree["enabled"]?.bool ?? true)
    }

    package var bytes: [UInt8] { tree.bytes }

    private var tree: JSON {
        var tree: JSON = [
            "name": .string(name), "id": .string(id), "address": .string(address), "port": JSON(port),
            "sslPort": securePort.map { JSON($0) } ?? .null,
        ]
        if let className = flavour.className {
            tree["payload"] = [
                "@class": .string(className), "id": .string(payloadID), "name": .string(name),
                "metadata": JSON(stringMap: metadata),
            ]
        } else {
            tree["payload"] = .null
        }
        tree["registrationTimeUTC"] = .integer(registeredMilliseconds)
        tree["serviceType"] = "DYNAMIC"
        tree["uriSpec"] = flavour == .springCloud ? Self.addressTemplate : .null
        if !isEnabled { tree["enabled"] = false }
        return tree
    }

    /// `scheme://address:port`, which Spring Cloud gives every instance.
    private static let addressTemplate: JSON = [
        "parts": [
            ["value": "scheme", "variable": true], ["value": "://", "variable": false],
            ["value": "address", "variable": true], ["value": ":", "variable": false],
            ["value": "port", "variable": true],
        ]
    ]

    /// Clients write numbers and flags in metadata too.
    private static func texts(_ json: JSON?) -> [String: String] {
        var result: [String: String] = [:]
        for member in json?.object ?? JSONObject() where !member.value.isNull && member.key != "@class" {
            result[member.key] = member.value.string ?? member.value.text
        }
        return result
    }
}
