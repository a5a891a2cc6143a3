// What a platform is made of when it runs: named services, and the places where they listen.

import Logging
import Objects
import Timing
import UnixSignals

/// An interface and where it listens.
package struct PlatformPlace: Sendable {
    package var name: String
    package var address: String
}

/// The services of a platform under construction, where they listen, and whether all do.
struct PlatformServices: Sendable {
    private(set) var all: [PlatformService] = []
    private(set) var places: [PlatformPlace] = []
    /// Opened by each interface once it listens.
    private var listening: [Gate] = []

    mutating func add(_ name: String, _ run: @escaping @Sendable () async throws -> Void) {
        all.append(PlatformService(name: name, run: run))
    }

    /// Adds an interface; `run` opens the gate once it listens.
    mutating func add(listening name: String, _ run: @escaping @Sendable (Gate) async throws -> Void) {
        let gate = gate()
        add(name) { try await run(gate) }
    }

    /// A gate that an interface opens once it listens.
    mutating func gate() -> Gate {
        let gate = Gate()
        listening.append(gate)
        return gate
    }

    mutating func add(place name: String, _ address: String) {
        places.append(PlatformPlace(name: name, address: address))
    }

    mutating func add(_ others: PlatformServices) {
        all += others.all
        places += others.places
        listening += others.listening
    }

    /// The same services, beginning when a gate opens.
    func after(_ gate: Gate) -> PlatformServices {
        var later = self
        later.all = all.map { service in
            PlatformService(name: service.name) {
                try await gate.wait()
                try await service.run()
            }
        }
        return later
    }

    /// Returns when every interface listens.
    func waitUntilListening() async throws {
        for gate in listening { try await gate.wait() }
    }
}

/// A named body that runs until it is cancelled; one that ends otherwise has failed.
struct PlatformService: Sendable {
    let name: String
    let run: @Sendable () async throws -> Void

    /// How a child of the group came to its end.
    private enum Ending: Sendable {
        case ready, asked, cancelled
        case ended(String)
        case failed(String, any Error)
    }

    /// Runs all until a signal comes or the first fails. `starting` runs beside them, once; on a signal `stopping` runs
    /// while everything else still works. Throws the first Problem of a service that cannot start or go on, after
    /// stopping the rest.
    static func run(
        _ services: [PlatformService], until signals: UnixSignalsSequence, logger: Logger,
        starting: @escaping @Sendable () async throws -> Void, stopping: () async -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Ending.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                for await _ in signals { return .asked }
                return .cancelled
            }
            for service in services {
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
                try await starting()
                return .ready
            }
            while let ending = try await group.next() {
                switch ending {
                case .ready, .cancelled: continue
                case .asked:
                    logger.info("stopping")
                    await stopping()
                    return
                case .ended(let name): throw Problem(.internalError, "the \(name) ended by itself")
                case .failed(let name, let error):
                    if let problem = error as? Problem { throw problem }
                    throw Problem(.internalError, "the \(name) failed: \(error)")
                }
            }
        }
    }
}
