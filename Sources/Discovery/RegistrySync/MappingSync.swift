// Keeps Dubbo's table of interfaces over restarts, in a ConfigMap of each namespace.

import Catalogue
import Client
import Formats
import Logging
import Objects
import Reconciling

/// The table's rows of a namespace as a ConfigMap: one key, a JSON object of `interface: [version, applications]`.
enum MappingStore {
    static let name = "mangrove-dubbo-mapping"
    static let dataKey = "mapping"
    /// What a ConfigMap may hold is 1 MiB; rows beyond this are not kept.
    static let limitBytes = 900 << 10

    static func rows(of map: Object) -> [InterfaceMapping] {
        guard let text = map["data", dataKey]?.string, let rows = (try? JSON(parsing: text))?.object else { return [] }
        return rows.compactMap { row in
            guard let pair = row.value.array, pair.count == 2, let version = pair[0].integer.flatMap(Int32.init(exactly:)),
                let text = pair[1].string
            else { return nil }
            return InterfaceMapping(interface: row.key, text: text, version: version)
        }
    }

    static func map(_ rows: [InterfaceMapping], in namespace: String) -> Object {
        var map = Object(.configMaps, namespace: namespace, name: name)
        map.labels = [ExportMark.serviceManagedBy: ExportMark.manager]
        let pairs = rows.map { ($0.interface, JSON.array([.integer(Int64($0.version)), .string($0.text)])) }
        map["data"] = [dataKey: .string(JSON.object(JSONObject(pairs)).text)]
        return map
    }

    /// The rows that fit, in order.
    static func fitting(_ rows: [InterfaceMapping]) -> [InterfaceMapping] {
        var left = limitBytes
        return Array(
            rows.prefix { row in
                left -= row.interface.utf8.count + row.text.utf8.count + 24
                return left >= 0
            })
    }
}

/// Reads the ConfigMaps once and from then on writes what changes.
final class MappingSync: Sendable {
    private let client: KubernetesClient
    private let catalogue: ServiceCatalogue
    private let logger: Logger
    let maps: Informer
    let writes: Reconciler<String>

    init(client: KubernetesClient, catalogue: ServiceCatalogue, logger: Logger) {
        self.client = client
        self.catalogue = catalogue
        self.logger = logger
        let maps = Informer(
            client: client, resource: .configMaps,
            selection: Selection(labels: "\(ExportMark.serviceManagedBy)=\(ExportMark.manager)"), logger: logger)
        self.maps = maps
        writes = Reconciler(name: "mapping-sync", workers: 1, logger: logger) { namespace in
            try await Self.write(namespace, client, catalogue, maps, logger)
        }
    }

    /// Puts the rows kept earlier back into the catalogue.
    func adopt() {
        for map in maps.list() where map.name == MappingStore.name {
            for row in MappingStore.rows(of: map) {
                do {
                    try catalogue.adopt(row, in: map.namespace)
                } catch {
                    logger.error(
                        "a row of Dubbo's table of interfaces was not taken back",
                        metadata: ["interface": "\(row.interface)", "error": "\(error)"])
                }
            }
            writes.enqueue(map.namespace)
        }
    }

    private static func write(
        _ namespace: String, _ client: KubernetesClient, _ catalogue: ServiceCatalogue, _ maps: Informer,
        _ logger: Logger
    ) async throws -> Outcome {
        guard ExportMark.isOpen(namespace: namespace) else { return .done }
        let rows = catalogue.mappings(in: namespace)
        let kept = MappingStore.fitting(rows)
        if kept.count < rows.count {
            logger.error(
                "Dubbo's table of interfaces is too long to be kept over a restart",
                metadata: ["namespace": "\(namespace)", "rows": "\(rows.count)", "kept": "\(kept.count)"])
        }
        let wanted = MappingStore.map(kept, in: namespace)
        guard let current = maps.get(wanted.key) else {
            if kept.isEmpty { return .done }
            do {
                try await client.create(.configMaps, wanted)
            } catch let problem as Problem where problem.code == 404 && problem.kind == Resource.namespaces.plural {
                guard try await NamespaceMaking.make(namespace, client, logger) else { return .done }
                return .again(after: .zero)
            } catch let problem as Problem where problem.reason == .alreadyExists {
                return .again(after: .seconds(1))
            }
            return .done
        }
        if current["data", MappingStore.dataKey] == wanted["data", MappingStore.dataKey] { return .done }
        var changed = current
        changed["data"] = wanted["data"]
        try await client.update(.configMaps, changed)
        return .done
    }
}

/// Makes the namespaces that registrations ask for.
///
/// A registry's namespace is made when something registers in it: otherwise its services would be seen by no other world
/// and be lost with a restart. It stays when they go, as others may have put things there.
enum NamespaceMaking {
    /// Returns whether there is such a namespace now.
    static func make(_ name: String, _ client: KubernetesClient, _ logger: Logger) async throws -> Bool {
        guard ServiceName.isNamespace(name) else {
            logger.warning(
                "what registered in this namespace is not shown in Kubernetes, which has no namespaces of such names",
                metadata: ["namespace": "\(name)"])
            return false
        }
        var namespace = Object(.namespaces, name: name)
        namespace.labels = [ExportMark.serviceManagedBy: ExportMark.manager]
        do {
            try await client.create(.namespaces, namespace)
            logger.notice("made a namespace for what registered in it", metadata: ["namespace": "\(name)"])
        } catch let problem as Problem where problem.reason == .alreadyExists {
            // Somebody else was quicker.
        }
        return true
    }
}
