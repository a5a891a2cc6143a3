// A Dubbo interface, and how each registry names it.

/// An interface in one version and group: what a Dubbo consumer at interface level asks for.
package struct DubboInterface: Hashable, Sendable {
    package var name: String
    /// Empty when there is none.
    package var version: String
    /// Dubbo's own group, which is not the registry's. Empty when there is none.
    package var group: String

    package init(name: String, version: String = "", group: String = "") {
        self.name = name
        self.version = version
        self.group = group
    }

    /// What a URL's parameters or the metadata of a record say; the path stands in for a missing `interface`.
    package init?(parameters: [String: String], path: String = "") {
        let path = parameters["path"] ?? path
        let name = parameters["interface"] ?? String(path.split(separator: "/").last ?? "")
        guard !name.isEmpty else { return nil }
        self.init(name: name, version: parameters["version"] ?? "", group: parameters["group"] ?? "")
    }

    /// Reads a service name of Nacos. The one without empty segments of Dubbo before 2.7.3 is read too.
    package init?(nacosName: String) {
        guard nacosName.utf8.starts(with: "providers:".utf8) else { return nil }
        let parts = nacosName.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard (2...4).contains(parts.count), !parts[1].isEmpty else {
            return nil
        }
        self.init(
            name: parts[1], version: parts.count > 2 ? parts[2] : "", group: parts.count > 3 ? parts[3] : "")
    }

    /// `providers:interface:version:group`, empty segments kept (`NacosRegistry`, `URL#getColonSeparatedKey`). This is
    /// also the name of the service in the catalogue.
    package func nacosName(_ category: DubboCategory = .providers) -> String {
        "\(category.rawValue):\(name):\(version):\(group)"
    }

    /// `group/interface:version`, the key of a service in Dubbo's own tables (`URL#getServiceKey`).
    package var serviceKey: String {
        (group.isEmpty ? "" : group + "/") + name + (version.isEmpty ? "" : ":" + version)
    }
}

/// The kinds of entries below an interface, by the names of their directories in ZooKeeper.
package enum DubboCategory: String, Hashable, Sendable, CaseIterable {
    case providers, consumers, configurators, routers
}

/// A Dubbo provider of one interface at one place.
package struct DubboProvider: Hashable, Sendable {
    /// What the record in Nacos has beyond the URL's parameters (`NacosRegistry#createInstance`).
    private static let added: Set<String> = ["category", "protocol", "path"]

    package var interface: DubboInterface
    package var url: ProviderURL

    /// Nil when the URL names no interface.
    package init?(url: ProviderURL) {
        guard let interface = DubboInterface(parameters: url.parameters, path: url.path) else { return nil }
        self.interface = interface
        self.url = url
    }

    /// A provider as the catalogue and Nacos know it; `metadata` is Dubbo's parameters flattened, with `protocol` and
    /// `path`. What it does not say is filled in from the interface.
    package init(
        _ interface: DubboInterface, host: String, port: Int, weight: Double = 1, metadata: [String: String],
        scheme: String = "dubbo"
    ) {
        self.interface = interface
        var parameters = metadata.filter { !Self.added.contains($0.key) && !$0.key.hasPrefix(DeclaredInterface.prefix) }
        parameters["interface"] = interface.name
        if !interface.version.isEmpty { parameters["version"] = interface.version }
        if !interface.group.isEmpty { parameters["group"] = interface.group }
        if parameters["side"] == nil { parameters["side"] = "provider" }
        let own = metadata["weight"]
        let shown = ProviderWeight.parameter(weight: weight, own: own)
        if own != nil || shown != ProviderWeight.standard { parameters["weight"] = String(shown) }
        url = ProviderURL(
            scheme: metadata["protocol"] ?? scheme, host: host, port: port, path: metadata["path"] ?? interface.name,
            parameters: parameters)
    }

    /// All parameters of the URL and `category`, `protocol`, `path`: what Dubbo writes to Nacos and the catalogue
    /// keeps.
    package var metadata: [String: String] {
        var metadata = url.parameters
        metadata["category"] = DubboCategory.providers.rawValue
        metadata["protocol"] = url.scheme
        metadata["path"] = url.path
        return metadata
    }

    package var application: String? { url.parameters["application"] }
    package var weight: Double { ProviderWeight.weight(parameter: url.parameters["weight"]) }
}
