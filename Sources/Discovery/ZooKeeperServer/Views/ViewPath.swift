// Which paths of the tree show the catalogue, and how services and instances are spelled there.

import Catalogue
import Frameworks

/// A directory of instances: an application's, or those of an interface's providers.
///
/// The namespace `default` is at the root, where clients look that know of no namespaces; another one is below
/// `/namespaces/{name}`, which a client asks for as its chroot.
struct ViewDirectory: Hashable, Sendable {
    enum Layout: Hashable, Sendable {
        /// `/dubbo/{interface}/providers/{escaped URL}`
        case dubbo(interface: String)
        /// `/services/{application}/{id}`, as curator-x-discovery has it for Dubbo and Spring Cloud.
        case application(String)
        /// `/sofa-rpc/{interface}/providers/{escaped URL}`
        case sofa(interface: String)
    }

    var namespace: String
    var layout: Layout

    private static let dubboRoot = "dubbo"
    private static let applicationRoot = "services"
    private static let namespacesRoot = "namespaces"
    /// Directories of `/dubbo` that are no interfaces.
    private static let dubboOwn: Set<Substring> = ["config", "metadata", "mapping"]

    init(namespace: String, layout: Layout) {
        self.namespace = namespace
        self.layout = layout
    }

    /// The directory that this path is.
    init?(path: String) {
        let (namespace, parts) = Self.parts(path)
        guard let root = parts.first, parts.count >= 2, !parts[1].isEmpty else { return nil }
        switch (String(root), parts.count) {
        case (Self.applicationRoot, 2): self.init(namespace: namespace, layout: .application(String(parts[1])))
        case (Self.dubboRoot, 3)
        where parts[2] == DubboCategory.providers.rawValue && !Self.dubboOwn.contains(parts[1]):
            guard let interface = FormEncoding.decode(String(parts[1])) else { return nil }
            self.init(namespace: namespace, layout: .dubbo(interface: interface))
        case (SOFAInterface.root, 3) where parts[2] == DubboCategory.providers.rawValue:
            self.init(namespace: namespace, layout: .sofa(interface: String(parts[1])))
        default: return nil
        }
    }

    /// Where a service is shown; nil where no client would look for it.
    init?(of service: ServiceName) {
        let name = service.name
        if let interface = DubboInterface(nacosName: name) {
            self.init(namespace: service.namespace, layout: .dubbo(interface: interface.name))
        } else if let interface = SOFAInterface(nacosName: name) {
            self.init(namespace: service.namespace, layout: .sofa(interface: interface.name))
        } else {
            guard service.group == ServiceName.defaultGroup, !name.contains("/"), !name.contains(":") else {
                return nil
            }
            self.init(namespace: service.namespace, layout: .application(name))
        }
        guard Path.isValid(path) else { return nil }
    }

    /// A quick look that spares ordinary znodes the slow one.
    static func mayShow(_ path: String) -> Bool {
        path.hasPrefix("/dubbo/") || path.hasPrefix("/services/") || path.hasPrefix("/sofa-rpc/")
            || path.hasPrefix("/namespaces/")
    }

    var path: String {
        let prefix = namespace == ServiceName.defaultNamespace ? "" : "/\(Self.namespacesRoot)/\(namespace)"
        return switch layout {
        case .dubbo(let interface): "\(prefix)/\(Self.dubboRoot)/\(FormEncoding.encode(interface))/providers"
        case .application(let name): "\(prefix)/\(Self.applicationRoot)/\(name)"
        case .sofa(let interface): "\(prefix)/\(SOFAInterface.root)/\(interface)/providers"
        }
    }

    fileprivate static func parts(_ path: String) -> (namespace: String, parts: ArraySlice<Substring>) {
        let parts = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)[...]
        guard parts.first == namespacesRoot[...], parts.count > 2 else { return (ServiceName.defaultNamespace, parts) }
        return (String(parts[1]), Array(parts.dropFirst(2))[...])
    }
}

extension ViewDirectory {
    /// What a client's znode in this directory says, in the catalogue's words. Nil when it says nothing of an instance.
    func instance(name: String, data: [UInt8]?, lifetime: Lifetime) -> (service: ServiceName, instance: Instance)? {
        switch layout {
        case .dubbo(let interface):
            guard var url = ProviderURL(nodeName: name) else { return nil }
            if DubboInterface(parameters: url.parameters, path: url.path) == nil {
                url.parameters["interface"] = interface
            }
            guard let provider = DubboProvider(url: url) else { return nil }
            let instance = Instance(
                id: name, address: url.host, port: url.port, protocolName: url.scheme, weight: provider.weight,
                metadata: provider.metadata, lifetime: lifetime, origin: .zookeeper)
            return (ServiceName(namespace: namespace, name: provider.interface.nacosName()), instance)
        case .sofa(let interface):
            guard let url = ProviderURL(nodeName: name) else { return nil }
            let provider = SOFAProvider(url: url, below: interface)
            let instance = Instance(
                id: name, address: url.host, port: url.port, protocolName: url.scheme, weight: provider.weight,
                isEnabled: data != Self.offline, cluster: SOFAInterface.cluster, metadata: provider.metadata,
                lifetime: lifetime, origin: .zookeeper)
            return (ServiceName(namespace: namespace, name: provider.nacosName), instance)
        case .application(let application):
            guard let payload = ServiceInstancePayload(data ?? []) else { return nil }
            let isDubbo = payload.flavour == .dubbo
            let instance = Instance(
                id: name, address: payload.address, port: payload.port,
                weight: isDubbo ? 1 : SpringWeight.weight(in: payload.metadata), isEnabled: payload.isEnabled,
                metadata: payload.metadata, lifetime: lifetime, origin: .zookeeper)
            return (ServiceName(namespace: namespace, name: application), instance)
        }
    }

    /// The znode by which an instance of another origin is shown here.
    func node(of instance: Instance, as service: ServiceName, flavour: ServiceInstancePayload.Flavour?)
        -> (path: String, data: [UInt8])?
    {
        let name: String
        let data: [UInt8]
        switch layout {
        case .dubbo:
            guard let interface = DubboInterface(nacosName: service.name) else { return nil }
            let provider = DubboProvider(
                interface, host: instance.address, port: instance.port, weight: instance.weight,
                metadata: instance.metadata, scheme: instance.protocolName.isEmpty ? "dubbo" : instance.protocolName)
            name = provider.url.nodeName
            // What Dubbo's clients write there: Curator's default, their own address.
            data = Array(instance.address.utf8)
        case .sofa:
            guard let interface = SOFAInterface(nacosName: service.name) else { return nil }
            let provider = SOFAProvider(
                interface, host: instance.address, port: instance.port, weight: instance.weight,
                metadata: instance.metadata, scheme: instance.protocolName.isEmpty ? "bolt" : instance.protocolName)
            name = provider.url.nodeName
            data = Self.online
        case .application(let application):
            name = "\(instance.address):\(instance.port)"
            let flavour = flavour ?? Self.flavour(of: instance.metadata)
            let metadata = instance.metadata
            let payload = ServiceInstancePayload(
                flavour, name: application, id: name, address: instance.address, port: instance.port,
                metadata: flavour == .dubbo ? metadata : SpringWeight.metadata(metadata, weight: instance.weight))
            data = payload.bytes
        }
        let path = Path.join(path, name)
        return Path.isValid(path) ? (path, data) : nil
    }

    /// A SOFA provider's node data (`com.alipay.sofa.rpc.registry.zk.ZookeeperRegistry`).
    private static let online: [UInt8] = [1]
    private static let offline: [UInt8] = [0]

    /// The payload that the application's own consumers read: Dubbo's when the instance has Dubbo's metadata.
    private static func flavour(of metadata: [String: String]) -> ServiceInstancePayload.Flavour {
        let isDubbo = metadata[DubboApplication.revisionKey] != nil || metadata[DubboApplication.endpointsKey] != nil
        return isDubbo ? .dubbo : .springCloud
    }
}

/// A znode that is a row of one of Dubbo's tables.
enum TablePath: Hashable, Sendable {
    /// `/dubbo/mapping/{interface}`: the applications that have the interface.
    case mapping(interface: String, namespace: String)
    /// `/dubbo/metadata/{application}/{revision}`: what an application has in one revision.
    case revision(String, application: String, namespace: String)

    init?(path: String) {
        let (namespace, found) = ViewDirectory.parts(path)
        let parts = found.map(String.init)
        switch parts.count {
        case 3 where parts[0] == "dubbo" && parts[1] == "mapping":
            self = .mapping(interface: parts[2], namespace: namespace)
        case 4 where parts[0] == "dubbo" && parts[1] == "metadata":
            self = .revision(parts[3], application: parts[2], namespace: namespace)
        default: return nil
        }
    }

    static func path(ofMapping interface: String, namespace: String) -> String {
        let prefix = namespace == ServiceName.defaultNamespace ? "" : "/namespaces/\(namespace)"
        return "\(prefix)/dubbo/mapping/\(interface)"
    }
}
