// The composition root: builds every service once, in order, runs them, and takes them down in order.

import APIServer
import Access
import Client
import Formats
import Glibc
import Logging
import Objects
import PodNetwork
import Storage
import UnixSignals
import Watching

/// One platform on one state directory.
package struct LocalPlatform: Sendable {
    /// What is known once everything that was asked for answers.
    package struct Ready: Sendable {
        package var configuration: Configuration
        /// For the caller's own requests, such as applying manifests.
        package var client: KubernetesClient
        package var places: [PlatformPlace]
        /// What this machine cannot do, one sentence each.
        package var warnings: [String]
        package var startMilliseconds: Int
    }

    let configuration: Configuration
    let logger: Logger

    package init(configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Runs until SIGINT or SIGTERM, then stops pods gracefully and returns.
    ///
    /// `whenReady` is called once. Throws the first Problem of a part that cannot start or go on, after stopping the
    /// rest; pods are left running then, for the next start to adopt.
    package func run(whenReady: @escaping @Sendable (Ready) async throws -> Void) async throws {
        let began = ContinuousClock.now
        OpenFiles.raiseLimit()
        try StateDirectory.prepare(configuration.directory)
        let lock = try StateLock(directory: configuration.directory, note: note(places: []))
        let store = try Store.open(at: configuration.directory + "/store", logger: logger)
        defer { store.close() }
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let parts = try await Parts(configuration: configuration, store: store, logger: logger)
        do {
            try await run(parts, lock, signals, began, whenReady)
        } catch {
            await restoreResolver()
            throw error
        }
        await restoreResolver()
    }

    private func run(
        _ parts: Parts, _ lock: StateLock, _ signals: UnixSignalsSequence, _ began: ContinuousClock.Instant,
        _ whenReady: @escaping @Sendable (Ready) async throws -> Void
    ) async throws {
        try await PlatformService.run(parts.services.all, until: signals, logger: logger) {
            try await parts.prepareObjects()
            try await parts.waitUntilReady()
            let places = try await parts.services.places + resolverPlaces(parts)
            lock.write(note(places: places))
            let took = (ContinuousClock.now - began) / .milliseconds(1)
            try await whenReady(
                Ready(
                    configuration: configuration, client: parts.client("mangrove-apply"), places: places,
                    warnings: parts.warnings, startMilliseconds: Int(took)))
        } stopping: {
            await parts.stopPods()
            await parts.announceEnd()
        }
    }

    private var resolver: MachineResolver { MachineResolver(directory: configuration.directory + "/resolver") }

    /// Lets the machine find names of the cluster when that was asked for, and says how.
    private func resolverPlaces(_ parts: Parts) async throws -> [PlatformPlace] {
        guard configuration.resolvesNames else { return [] }
        guard geteuid() == 0, parts.servesDNS else {
            throw Problem(.forbidden, "--resolve needs root and the platform's DNS server, which does not run here")
        }
        let said = try await resolver.apply(
            server: configuration.dnsServiceAddress, domain: configuration.clusterDomain)
        return [PlatformPlace(name: "resolver", address: said)]
    }

    /// Also undoes what a run that was killed has left.
    private func restoreResolver() async {
        guard geteuid() == 0 else { return }
        do {
            if let said = try await resolver.restore() { logger.info("\(said)") }
        } catch {
            logger.error("the machine's resolver is not restored", metadata: ["error": "\(error)"])
        }
    }

    /// What the lock file says of this process.
    private func note(places: [PlatformPlace]) -> JSON {
        [
            "pid": JSON(Int(getpid())),
            "places": .object(JSONObject(places.map { ($0.name, .string($0.address)) })),
        ]
    }
}
