// A SOFA interface, and how each registry names it.

/// An interface and the uniqueId that tells several of its implementations apart: what a SOFA consumer asks for.
package struct SOFAInterface: Hashable, Sendable {
    /// Nacos' namespace for clients that were given none (`NacosRegistry`); also the root of ZooKeeper's tree.
    package static let root = "sofa-rpc"
    /// The cluster SOFA registers in and asks for in Nacos (`NacosRegistryHelper`).
    package static let cluster = "default-cluster"
    /// The protocols that Nacos' service names call `DEFAULT`.
    private static let standardSchemes: Set<String> = ["bolt", "tr"]
    private static let otherSchemes: Set<String> = [
        "rest", "dubbo", "h2c", "h2", "http", "https", "grpc", "tri", "xfire",
    ]

    package var name: String
    /// Empty when there is none.
    package var uniqueID: String

    package init(name: String, uniqueID: String = "") {
        self.name = name
        self.uniqueID = uniqueID
    }

    /// Reads a service name of Nacos: `interface[:uniqueId]:DEFAULT`, or the protocol instead of `DEFAULT`. Nil for
    /// names that do not end so.
    package init?(nacosName: String) {
        guard nacosName.utf8.contains(UInt8(ascii: ":")) else { return nil }
        let parts = nacosName.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), let last = parts.last, let first = parts.first, !first.isEmpty,
            DubboCategory(rawValue: first) == nil, last == "DEFAULT" || Self.otherSchemes.contains(last)
        else { return nil }
        self.init(name: first, uniqueID: parts.count == 3 ? parts[1] : "")
    }

    /// `interface[:uniqueId]:DEFAULT|protocol`, the name in Nacos and in the catalogue.
    package func nacosName(scheme: String) -> String {
        let suffix = Self.standardSchemes.contains(scheme) || scheme.isEmpty ? "DEFAULT" : scheme
        return name + (uniqueID.isEmpty ? "" : ":" + uniqueID) + ":" + suffix
    }
}

/// A SOFA provider of one interface at one place.
package struct SOFAProvider: Hashable, Sendable {
    package var interface: SOFAInterface
    package var url: ProviderURL

    /// Reads a URL found below `/sofa-rpc/{interface}/providers`. The parameter `interface` counts, if there is one.
    package init(url: ProviderURL, below interface: String) {
        self.interface = SOFAInterface(
            name: url.parameters["interface"] ?? interface, uniqueID: url.parameters["uniqueId"] ?? "")
        self.url = url
    }

    /// A provider as the catalogue and Nacos know it. `uniqueId` is there even when empty, as consumers compare it.
    package init(
        _ interface: SOFAInterface, host: String, port: Int, weight: Double = 1, metadata: [String: String],
        scheme: String = "bolt"
    ) {
        self.interface = interface
        var parameters = metadata.filter { !$0.key.hasPrefix(DeclaredInterface.prefix) && $0.key != "path" }
        let scheme = metadata["protocol"] ?? scheme
        parameters["interface"] = interface.name
        parameters["uniqueId"] = interface.uniqueID
        parameters["protocol"] = scheme
        if parameters["version"] == nil { parameters["version"] = "1.0" }
        parameters["weight"] = String(ProviderWeight.parameter(weight: weight, own: metadata["weight"]))
        url = ProviderURL(
            scheme: scheme, host: host, port: port, path: metadata["path"] ?? "", parameters: parameters)
    }

    /// What SOFA writes to Nacos and the catalogue keeps.
    package var metadata: [String: String] {
        var metadata = url.parameters
        metadata["interface"] = interface.name
        metadata["uniqueId"] = interface.uniqueID
        metadata["protocol"] = url.scheme
        if !url.path.isEmpty { metadata["path"] = url.path }
        return metadata
    }

    package var nacosName: String { interface.nacosName(scheme: url.scheme) }
    package var application: String? { url.parameters["appName"] }
    package var weight: Double { ProviderWeight.weight(parameter: url.parameters["weight"]) }
}
