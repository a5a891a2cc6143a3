// The composition root: builds every service once, in order, runs them, and takes them down in order.

import APIServer
import Access
import Client
import Formats
import Glibc
import Logging
import Objects
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
        package var places: [Place]
        /// What this machine cannot do, one sentence each.
        package var warnings: [String]
        package var startMilliseconds: Int
    }

    /// An interface and where it listens.
    package struct Place: Sendable {
        package var name: String
        package var address: String
    }

    let configuration: Configuration
    let logger: Logger

    package init(configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Runs until SIGINT or SIGTERM, then stops pods gracefully and returns.
    ///
    /// `whenReady` is called once. Throws the first Problem of a part that cannot start or go on, after stopping the rest;
    /// pods are left running then, for the next start to adopt.
    package func run(whenReady: @escaping @Sendable (Ready) async throws -> Void) async throws {
        let began = ContinuousClock.now
        OpenFiles.raiseLimit()
        try StateDirectory.prepare(configuration.directory)
        let lock = try StateLock(directory: configuration.directory, note: note(places: []))
        let store = try Store.open(at: configuration.directory + "/store", logger: logger)
        defer { store.close() }
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        let parts = try await Parts(configuration: configuration, store: store, logger: logger)
        try await withThrowingTaskGroup(of: Ending.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                for await _ in signals { return .asked }
                return .cancelled
            }
            for service in parts.services {
                group.addTask {
                    do {
                        try await service.run()
                    } catch is CancellationError {
                        return .cancelled
                    } catch {
                        return .failed(service.name, error)
                    }
                    return .ended(service.name)
                }
            }
            group.addTask {
                try await parts.prepareObjects()
                try await parts.waitUntilReady()
                lock.write(note(places: parts.places))
                let took = (ContinuousClock.now - began) / .milliseconds(1)
                try await whenReady(
                    Ready(
                        configuration: configuration, client: parts.client("mangrove-apply"), places: parts.places,
                        warnings: parts.warnings, startMilliseconds: Int(took)))
                return .ready
            }
            try await wait(for: &group, parts: parts)
        }
    }

    /// How a child of the platform's group came to its end.
    private enum Ending: Sendable {
        case ready, asked, cancelled
        case ended(String)
        case failed(String, any Error)
    }

    /// Waits for a signal or the first failure. On a signal pods are stopped while everything else still works.
    private func wait(for group: inout ThrowingTaskGroup<Ending, any Error>, parts: Parts) async throws {
        while let ending = try await group.next() {
            switch ending {
            case .ready, .cancelled: continue
            case .asked:
                logger.info("stopping")
                await parts.stopPods()
                await parts.announceEnd()
                return
            case .ended(let name): throw Problem(.internalError, "the \(name) ended by itself")
            case .failed(let name, let error):
                if let problem = error as? Problem { throw problem }
                throw Problem(.internalError, "the \(name) failed: \(error)")
            }
        }
    }

    /// What the lock file says of this process.
    private func note(places: [Place]) -> JSON {
        [
            "pid": JSON(Int(getpid())),
            "places": .object(JSONObject(places.map { ($0.name, .string($0.address)) })),
        ]
    }
}
