// What Dubbo's application level writes beside an instance: endpoints, revision, and which interfaces it has.

import Formats

/// The keys of an application-level instance's metadata (`ServiceInstanceMetadataUtils`).
package enum DubboApplication {
    package static let revisionKey = "dubbo.metadata.revision"
    package static let storageKey = "dubbo.metadata.storage-type"
    package static let endpointsKey = "dubbo.endpoints"
    package static let serviceParametersKey = "dubbo.metadata-service.url-params"
    /// The group of Nacos' configuration, and the node below `/dubbo`, that keep the table of interfaces.
    package static let mapping = "mapping"

    /// A port of an application and the protocol spoken there.
    package struct Endpoint: Hashable, Sendable {
        package var port: Int
        package var scheme: String

        package init(port: Int, scheme: String) {
            self.port = port
            self.scheme = scheme
        }
    }

    /// Reads `[{"port":20880,"protocol":"dubbo"}]`; what cannot be read is left out.
    package static func endpoints(_ metadata: [String: String]) -> [Endpoint] {
        guard let text = metadata[endpointsKey], let list = (try? JSON(parsing: text))?.array else { return [] }
        return list.compactMap { entry in
            guard let port = entry["port"]?.integer, (1...65_535).contains(port) else { return nil }
            return Endpoint(port: port, scheme: entry["protocol"]?.string ?? "dubbo")
        }
    }

    package static func text(_ endpoints: [Endpoint]) -> String {
        JSON.array(endpoints.map { ["port": JSON($0.port), "protocol": .string($0.scheme)] }).text
    }
}

/// What an application declares in one revision (`org.apache.dubbo.metadata.MetadataInfo`): the document that ZooKeeper
/// keeps at `/dubbo/metadata/{application}/{revision}` and Nacos under dataId application, group revision.
package struct DubboRevision: Hashable, Sendable {
    package var application: String
    package var revision: String
    package var interfaces: [DeclaredInterface]

    package init(application: String, revision: String, interfaces: [DeclaredInterface]) {
        self.application = application
        self.revision = revision
        self.interfaces = interfaces
    }

    /// Nil when this is no such document.
    package init?(_ text: String) {
        guard let document = try? JSON(parsing: text), let application = document["app"]?.string,
            let revision = document["revision"]?.string, let services = document["services"]?.object
        else { return nil }
        let interfaces = services.compactMap { member -> DeclaredInterface? in
            let service = member.value
            guard let name = service["name"]?.string, !name.isEmpty else { return nil }
            let interface = DubboInterface(
                name: name, version: service["version"]?.string ?? "", group: service["group"]?.string ?? "")
            let port = service["port"]?.integer.flatMap { (1...65_535).contains($0) ? $0 : nil }
            return DeclaredInterface(
                .dubbo(interface), scheme: service["protocol"]?.string ?? "dubbo", port: port.map { .number($0) })
        }
        self.init(application: application, revision: revision, interfaces: interfaces)
    }
}
