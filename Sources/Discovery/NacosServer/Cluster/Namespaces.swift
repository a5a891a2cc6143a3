// Nacos' namespaces are the cluster's.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// A namespace as Nacos shows it. The id is Nacos' own spelling: `public` for `default`.
package struct NacosNamespace: Hashable, Sendable {
    var id: String
    var title: String
    var summary: String
    /// Whether Nacos' clients made it; only such a one can be deleted through Nacos.
    var isOwn: Bool
}

package protocol NamespaceStore: Sendable {
    /// In the order of their ids, `public` first; the cluster's own are left out.
    func namespaces() -> [NacosNamespace]
    func create(_ namespace: NacosNamespace) async throws(NamespaceProblem)
    func update(_ namespace: NacosNamespace) async throws(NamespaceProblem)
    func delete(_ id: String) async throws(NamespaceProblem)
}

package enum NamespaceProblem: Error, Hashable, Sendable {
    case unknown(String)
    case exists(String)
    case notOwn(String)
    case refused(String)
}

extension NacosProblem {
    init(_ problem: NamespaceProblem) {
        self =
            switch problem {
            case .unknown(let id): .noSuchNamespace("namespaceId [ \(id) ] not exist")
            case .exists(let id): .namespaceExists("namespaceId [\(id)] already exist")
            case .notOwn(let id):
                .forbidden("namespace '\(id)' was not made through Nacos; delete it with kubectl")
            case .refused(let message): .invalid(message)
            }
    }
}

/// The namespaces of the cluster. Needs `run()`.
package struct ClusterNamespaces: NamespaceStore {
    static let titleAnnotation = "mangrove.dev/nacos-namespace-name"
    static let summaryAnnotation = "mangrove.dev/nacos-namespace-description"
    static let label = "mangrove.dev/nacos"
    static let labelValue = "namespace"
    /// Namespaces that belong to the cluster and not to services.
    static let hiddenPrefixes = ["kube-", "mangrove-"]

    private let client: KubernetesClient
    private let informer: Informer

    package init(client: KubernetesClient, logger: Logger) {
        self.client = client
        informer = Informer(client: client, resource: .namespaces, logger: logger)
    }

    package func run() async { await informer.run() }

    package func namespaces() -> [NacosNamespace] {
        let all = informer.list().filter { object in
            !object.isTerminating && !Self.hiddenPrefixes.contains { object.name.hasPrefix($0) }
        }
        let shown = all.map(Self.shown)
        return shown.filter { $0.id == NacosNames.publicNamespace }
            + shown.filter { $0.id != NacosNames.publicNamespace }
    }

    private static func shown(_ object: Object) -> NacosNamespace {
        let id = NacosNames.nacosNamespace(object.name)
        let annotations = object.annotations
        return NacosNamespace(
            id: id, title: annotations[titleAnnotation] ?? id, summary: annotations[summaryAnnotation] ?? "",
            isOwn: object.labels[label] == labelValue)
    }

    package func create(_ namespace: NacosNamespace) async throws(NamespaceProblem) {
        var object = Object(.namespaces, name: NacosNames.catalogueNamespace(namespace.id))
        object.labels = [Self.label: Self.labelValue]
        object.annotations = [Self.titleAnnotation: namespace.title, Self.summaryAnnotation: namespace.summary]
        do {
            try await client.create(.namespaces, object)
        } catch let problem as Problem {
            if problem.code == 409 { throw .exists(namespace.id) }
            throw .refused(problem.message)
        } catch {
            throw .refused("\(error)")
        }
    }

    package func update(_ namespace: NacosNamespace) async throws(NamespaceProblem) {
        let patch: JSON = [
            "metadata": [
                "annotations": [
                    Self.titleAnnotation: .string(namespace.title), Self.summaryAnnotation: .string(namespace.summary),
                ]
            ]
        ]
        do {
            let key = ObjectKey(name: NacosNames.catalogueNamespace(namespace.id))
            try await client.patch(.namespaces, key, .merge, patch)
        } catch let problem as Problem {
            if problem.code == 404 { throw .unknown(namespace.id) }
            throw .refused(problem.message)
        } catch {
            throw .refused("\(error)")
        }
    }

    package func delete(_ id: String) async throws(NamespaceProblem) {
        let key = ObjectKey(name: NacosNames.catalogueNamespace(id))
        guard let object = informer.get(key) else { throw .unknown(id) }
        guard Self.shown(object).isOwn else { throw .notOwn(id) }
        do {
            try await client.delete(.namespaces, key, uid: object.uid)
        } catch let problem as Problem {
            if problem.code == 404 { throw .unknown(id) }
            throw .refused(problem.message)
        } catch {
            throw .refused("\(error)")
        }
    }
}
