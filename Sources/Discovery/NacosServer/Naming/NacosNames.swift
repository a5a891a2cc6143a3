// Nacos' names and the catalogue's: namespace `public` is `default`, `group@@name` is two fields.

import Catalogue
import Configurations
import Frameworks

enum NacosNames {
    static let publicNamespace = "public"
    static let groupSeparator = "@@"
    static let defaultCluster = "DEFAULT"
    /// Lengths by `com.alibaba.nacos.common.paramcheck.ParamCheckRule`.
    static let longestName = 512
    static let longestGroup = 128
    static let longestNamespace = 64
    static let longestDataID = 256
    static let longestTag = 64

    /// The service that a request names. The name may carry its group: `G@@name`.
    static func service(namespace: String?, group: String?, name: String?) throws(NacosProblem) -> ServiceName {
        guard let name, !name.isEmpty else { throw .missing(parameter: "serviceName") }
        let (nameGroup, bareName) = split(name)
        let spokenGroup = nameGroup ?? group ?? ""
        // SOFA's clients that were given no namespace say this one, where those of other registries say none: their
        // services are in the one place where all worlds look (`com.alipay.sofa.rpc.registry.nacos.NacosRegistry`).
        let isSOFA = namespace == SOFAInterface.root && SOFAInterface(nacosName: bareName) != nil
        let service = ServiceName(
            namespace: isSOFA ? ServiceName.defaultNamespace : catalogueNamespace(namespace),
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

    /// The way back: `default` is `public`.
    static func nacosNamespace(_ namespace: String) -> String {
        namespace == ServiceName.defaultNamespace ? publicNamespace : namespace
    }

    /// The configuration item that a request names.
    static func item(namespace: String?, group: String?, dataID: String?) throws(NacosProblem) -> ConfigName {
        let spokenGroup = group.flatMap { $0.isEmpty ? nil : $0 } ?? ConfigName.defaultGroup
        guard let dataID else { throw .missing(parameter: "dataId") }
        let name = ConfigName(namespace: catalogueNamespace(namespace), group: spokenGroup, dataID: dataID)
        try check(name.dataID, "dataId", longest: longestDataID)
        try check(name.group, "group", longest: longestGroup)
        try check(name.namespace, "namespaceId", longest: longestNamespace)
        return name
    }

    /// A tag that chooses among an item's texts; empty is none. It becomes part of a ConfigMap's member name.
    static func tag(_ tag: String?) throws(NacosProblem) -> String? {
        guard let tag, !tag.isEmpty, tag != "None" else { return nil }
        try check(tag, "tag", longest: longestTag)
        let isPlain = tag.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || [0x2D, 0x2E, 0x5F].contains(byte)
        }
        guard isPlain else {
            throw .invalid("Param 'tag' is illegal, illegal characters should not appear in the param.")
        }
        return tag
    }

    /// `namespace@@group@@name`, as fuzzy watches call a service.
    static func key(of service: ServiceName) -> String { nacosNamespace(service.namespace) + "@@" + grouped(service) }

    /// `dataId+group+namespace`, as fuzzy watches call an item.
    static func key(of item: ConfigName) -> String {
        func escaped(_ text: String) -> String {
            String(text.flatMap { $0 == "+" ? "%2B" : $0 == "%" ? "%25" : String($0) })
        }
        return [item.dataID, item.group, nacosNamespace(item.namespace)].map(escaped).joined(separator: "+")
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
