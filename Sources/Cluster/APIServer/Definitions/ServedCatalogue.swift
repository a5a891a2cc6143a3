// What the server serves now: Kubernetes' own resources and those that definitions add while it runs.

import CustomResources
import Formats
import Objects
import Synchronization
import Timing

/// Holds the current table with the documents made of it; a change of definitions makes a new one.
final class ServedCatalogue: Sendable {
    /// One state of what is served; never changes.
    struct Edition: Sendable {
        let served: ServedResources
        let discovery: Discovery
        let openAPI: OpenAPIDocuments

        init(_ served: ServedResources) {
            self.served = served
            discovery = Discovery(served: served)
            openAPI = OpenAPIDocuments(served: served)
        }
    }

    private struct Entry: Sendable {
        let definition: Definition
        let isOver: Gate
        let resources: [ServedResource]
    }

    private struct State: Sendable {
        var edition: Edition
        var entries: [String: Entry] = [:]
    }

    private let builtIn: [ServedResource]
    private let state: Mutex<State>

    init(_ builtIn: ServedResources) {
        self.builtIn = builtIn.all
        state = Mutex(State(edition: Edition(builtIn)))
    }

    var current: Edition { state.withLock { $0.edition } }

    /// Serves what these definitions say. `read` is called under the lock, so that of several callers the one that
    /// read last is the one that is heard last.
    func publish(_ read: () throws -> [Object]) throws {
        let outdated = try state.withLock { state -> [Gate] in
            let objects = try read()
            var entries: [String: Entry] = [:]
            var outdated: [Gate] = []
            for object in objects {
                let definition = Definition(object)
                if let old = state.entries[definition.name], old.definition.fingerprint == definition.fingerprint {
                    entries[definition.name] = old
                } else {
                    let isOver = Gate()
                    let resources = CustomKind.resources(of: definition, until: isOver)
                    entries[definition.name] = Entry(definition: definition, isOver: isOver, resources: resources)
                }
            }
            for (name, old) in state.entries where entries[name]?.isOver !== old.isOver { outdated.append(old.isOver) }
            let isSame = outdated.isEmpty && entries.count == state.entries.count
            state.entries = entries
            if !isSame {
                let custom = entries.keys.sorted().flatMap { entries[$0]?.resources ?? [] }
                state.edition = Edition(ServedResources(served: builtIn + custom))
            }
            return outdated
        }
        for gate in outdated { gate.open() }
    }
}

extension KubernetesAPI {
    var served: ServedResources { catalogue.current.served }
    var discovery: Discovery { catalogue.current.discovery }
    var openAPI: OpenAPIDocuments { catalogue.current.openAPI }
}
