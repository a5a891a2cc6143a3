// Nacos' names and the catalogue's: namespace `public` is `default`, `group@@name` is two fields.

import Catalogue

enum NacosNames {
    static let publicNamespace = "public"
    static let groupSeparator = "@@"
    static let defaultCluster = "DEFAULT"
    /// Lengths by `com.alibaba.nacos.common.paramcheck.ParamCheckRule`.
    static let longestName = 512
    static let longestGroup = 128
    static let longestNamespace = 64

    /// The service that a request names. The name may carry its group: `G@@name`.
    static func service(namespace: String?, group: String?, name: String?) throws(NacosProblem) -> ServiceName {
        guard let name, !name.isEmpty else { throw .missing(parameter: "serviceName") }
        let (nameGroup, bareName) = split(name)
        let spokenGroup = nameGroup ?? group ?? ""
        let service = ServiceName(
            namespace: catalogueNamespace(namespace),
            group: spokenGroup.isEmpty ? ServiceName.defaultGroup : spokenGroup, name: bareName)
        try check(service.name, "serviceName", longest: longestName)
        try check(service.group, "groupName", longest: longestGroup)
        try check(service.namespace, "namespaceId", longest: longestNamespace)
        return service
    }

    /// Empty, absent and `public` are the same.
    static func catalogueNamespace(_ namespace: String?) -> String {
        switch namespace ?? "" {
        case "", publicNamespace: return ServiceName.defaultNamespace
        case let other: return other
        }
    }

    static func grouped(_ service: ServiceName) -> String { service.group + groupSeparator + service.name }

    /// Clients send an absent cluster as nothing, as empty, and (nacos-sdk-python) as `None`.
    static func cluster(_ cluster: String?) -> String {
        guard let cluster, !cluster.isEmpty, cluster != "None" else { return defaultCluster }
        return cluster
    }

    private static func split(_ name: String) -> (group: String?, name: String) {
        let bytes = Array(name.utf8)
        for position in bytes.indices.dropLast() where bytes[position] == 0x40 && bytes[position + 1] == 0x40 {
            let group = String(decoding: bytes[..<position], as: UTF8.self)
            return (group, String(decoding: bytes[(position + 2)...], as: UTF8.self))
        }
        return (nil, name)
    }

    private static func check(_ text: String, _ parameter: String, longest: Int) throws(NacosProblem) {
        guard !text.isEmpty else { throw .missing(parameter: parameter) }
        guard text.utf8.count <= longest else {
            throw .invalid("Param '\(parameter)' is illegal, the param length should not exceed \(longest).")
        }
        let isLegal = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"):
                true
            case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "$"),
                UInt8(ascii: "@"), UInt8(ascii: "/"), UInt8(ascii: ","), UInt8(ascii: "&"):
                true
            default: byte >= 0x80
            }
        }
        guard isLegal else {
            throw .invalid("Param '\(parameter)' is illegal, illegal characters should not appear in the param.")
        }
    }
}
