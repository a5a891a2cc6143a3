// Everything that the Nacos interface shows: the catalogue, the configuration, and what is kept beside them.

import Catalogue
import Configurations
import Timing

/// What the listeners serve from. Several listeners share one; its `run()` tells clients of changes.
package struct Backend: Sendable {
    let catalogue: ServiceCatalogue
    let configurations: any ConfigStore
    let services: any ServiceStore
    let namespaces: any NamespaceStore
    /// Nil while nobody's rights are checked.
    let accounts: Accounts?
    let rendering = RenderCache()
    let connections = ConnectionTable()
    let polling = ConfigPolling()
    let datagrams: Datagrams

    package init(
        catalogue: ServiceCatalogue, configurations: any ConfigStore, services: any ServiceStore,
        namespaces: any NamespaceStore, accounts: Accounts? = nil
    ) {
        self.catalogue = catalogue
        self.configurations = configurations
        self.services = services
        self.namespaces = namespaces
        self.accounts = accounts
        datagrams = Datagrams(catalogue: catalogue)
    }

    /// Tells clients of changes until cancelled.
    package func run() async { await PushLoop(backend: self).run() }

    /// How long clients get to hear that the server is going.
    static let farewell: Duration = .milliseconds(300)

    /// Asks the connected clients to connect anew, elsewhere if they know another server. For an orderly end.
    package func announceEnd() async {
        let all = connections.all
        guard !all.isEmpty else { return }
        for connection in all { connection.changed(.reset) }
        try? await Task.sleep(for: Self.farewell)
    }

    /// How long a reader waits for the first full picture before it is asked to try again.
    static let completenessPatience: Duration = .milliseconds(2_500)

    /// Waits for the first full picture of services, but no longer than the patience.
    func waitForServices() async throws(NacosProblem) {
        if catalogue.isComplete, services.isComplete { return }
        await atMost(Self.completenessPatience) { [catalogue, services] in
            await services.waitUntilComplete()
            await catalogue.waitUntilComplete()
        }
        guard catalogue.isComplete, services.isComplete else { throw .starting }
    }

    func waitForConfigurations() async throws(NacosProblem) {
        if configurations.isComplete { return }
        await atMost(Self.completenessPatience) { [configurations] in await configurations.waitUntilComplete() }
        guard configurations.isComplete else { throw .starting }
    }
}
