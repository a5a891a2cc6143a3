// The Nacos interface's backend as a client of a cluster.

import Catalogue
import Client
import Configurations
import Logging

/// A backend whose configuration, services and namespaces are objects of a cluster. Needs `run()` to be running.
package struct ClusterBackend: Sendable {
    package let backend: Backend
    private let configurations: any ConfigStore
    private let services: ClusterServices
    private let namespaces: ClusterNamespaces
    private let accounts: Accounts?

    /// `configurations` are run by somebody else. With `checksAccess` users have to log in, and may do what their roles
    /// allow.
    package init(
        client: KubernetesClient, catalogue: ServiceCatalogue, configurations: any ConfigStore, checksAccess: Bool,
        logger: Logger
    ) {
        self.configurations = configurations
        services = ClusterServices(client: client, catalogue: catalogue, logger: logger)
        namespaces = ClusterNamespaces(client: client, logger: logger)
        accounts = checksAccess ? Accounts(client: client, logger: logger) : nil
        backend = Backend(
            catalogue: catalogue, configurations: configurations, services: services, namespaces: namespaces,
            accounts: accounts)
    }

    /// Follows the cluster and tells clients of changes until cancelled.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await services.run() }
            group.addTask { await namespaces.run() }
            group.addTask { await accounts?.run() }
            group.addTask { await backend.run() }
            await group.waitForAll()
        }
    }

    /// Returns when the first full picture of configuration and services is in, or the task is cancelled.
    package func waitUntilComplete() async {
        await services.waitUntilComplete()
        await configurations.waitUntilComplete()
    }
}
