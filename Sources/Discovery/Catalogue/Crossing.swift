// How a word crosses between levels: an interface's record implies an application's instance, and the other way round.

import Frameworks

/// What follows from a record that a writer declared. What is implied never implies more, and is shown only where no
/// writer speaks for that address itself.
enum Crossing {
    /// Parameters that belong to one interface and would be wrong for its application (Dubbo's and SOFA's URLs).
    private static let interfaceOnly: Set<String> = [
        "accepts", "anyhost", "appName", "application", "bind.ip", "bind.port", "category", "delay", "deprecated",
        "dynamic", "generic", "group", "id", "interface", "methods", "path", "pid", "register", "retries", "revision",
        "serialization", "side", "startTime", "timeout", "timestamp", "uniqueId", "version", "weight",
    ]
    /// Metadata that speaks of the application's own registration and not of its interfaces.
    private static let applicationOnly = [DeclaredInterface.prefix, "dubbo.", "preserved.", "management."]

    static func consequences(
        of instance: Instance, in service: ServiceName, _ table: InterfaceTable
    ) -> [(service: ServiceName, instance: Instance)] {
        let metadata = instance.metadata
        guard !metadata.isEmpty else { return [] }
        if DubboInterface(nacosName: service.name) != nil {
            return application(metadata["application"], instance, service)
        }
        if SOFAInterface(nacosName: service.name) != nil {
            return application(metadata["appName"], instance, service)
        }
        return interfaces(of: instance, in: service, table).compactMap { record(of: $0, by: instance, in: service) }
    }

    // MARK: Up: from an interface to its application

    private static func application(
        _ name: String?, _ instance: Instance, _ service: ServiceName
    ) -> [(service: ServiceName, instance: Instance)] {
        guard let name, !name.isEmpty, name.utf8.count <= longestName, name != service.name, !name.contains(":") else {
            return []
        }
        var metadata = instance.metadata.filter { !interfaceOnly.contains($0.key) }
        metadata["application"] = name
        let isSOFA = instance.cluster == SOFAInterface.cluster
        let weight = ProviderWeight.parameter(weight: instance.weight, own: instance.metadata["weight"])
        var implied = Instance(
            address: instance.address, furtherAddresses: instance.furtherAddresses, port: instance.port,
            ports: instance.ports, protocolName: instance.metadata["protocol"] ?? instance.protocolName,
            weight: Double(weight) / Double(ProviderWeight.standard), isHealthy: instance.isHealthy,
            isEnabled: instance.isEnabled, cluster: isSOFA ? "DEFAULT" : instance.cluster, metadata: metadata,
            lifetime: instance.lifetime, origin: instance.origin)
        implied.isImplied = true
        return [(ServiceName(namespace: service.namespace, name: name), implied)]
    }

    private static let longestName = 512

    // MARK: Down: from an application to its interfaces

    /// What the instance declares itself, else what its revision's document says, else what the table says of the
    /// application: the table knows neither version nor group, so it speaks only for interfaces without.
    private static func interfaces(
        of instance: Instance, in service: ServiceName, _ table: InterfaceTable
    ) -> [DeclaredInterface] {
        let metadata = instance.metadata
        let declared = DeclaredInterface.all(in: metadata)
        guard declared.isEmpty, service.group == ServiceName.defaultGroup else { return declared }
        if let revision = metadata[DubboApplication.revisionKey],
            let document = table.revision(revision, of: service.name, in: service.namespace)
        {
            return document.interfaces
        }
        guard let endpoint = DubboApplication.endpoints(metadata).first else { return [] }
        return table.interfaces(of: service.name, in: service.namespace).sorted().map {
            DeclaredInterface(.dubbo(DubboInterface(name: $0)), scheme: endpoint.scheme, port: .number(endpoint.port))
        }
    }

    private static func record(
        of declared: DeclaredInterface, by instance: Instance, in service: ServiceName
    ) -> (service: ServiceName, instance: Instance)? {
        let port: Int? =
            switch declared.port {
            case nil: instance.port
            case .number(let number): number
            case .name(let name): instance.ports[name]
            }
        guard let port else { return nil }
        let own = instance.metadata.filter { pair in !applicationOnly.contains { pair.key.hasPrefix($0) } }
        let weight = ProviderWeight.parameter(weight: instance.weight, own: nil)
        var metadata: [String: String]
        var cluster = instance.cluster
        switch declared.framework {
        case .dubbo(let interface):
            metadata = [
                "application": service.name, "category": DubboCategory.providers.rawValue, "dubbo": "2.0.2",
                "interface": interface.name, "path": interface.name, "protocol": declared.scheme, "side": "provider",
            ]
            if !interface.version.isEmpty { metadata["version"] = interface.version }
            if !interface.group.isEmpty { metadata["group"] = interface.group }
            if weight != ProviderWeight.standard { metadata["weight"] = String(weight) }
        case .sofa(let interface):
            metadata = [
                "appName": service.name, "interface": interface.name, "protocol": declared.scheme,
                "uniqueId": interface.uniqueID, "version": "1.0", "weight": String(weight),
            ]
            cluster = SOFAInterface.cluster
        }
        metadata.merge(own) { implied, _ in implied }
        var implied = Instance(
            address: instance.address, furtherAddresses: instance.furtherAddresses, port: port,
            protocolName: declared.scheme, weight: instance.weight, isHealthy: instance.isHealthy,
            isEnabled: instance.isEnabled, cluster: cluster, metadata: metadata, lifetime: instance.lifetime,
            origin: instance.origin)
        implied.isImplied = true
        return (ServiceName(namespace: service.namespace, name: declared.serviceName), implied)
    }
}
