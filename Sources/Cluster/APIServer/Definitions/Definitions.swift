// Keeps definitions going: their names and conditions, what is served of them, and their end.

import CustomResources
import Formats
import Objects
import Storage
import Timing

extension KubernetesAPI {
    /// Deletions of a definition's instances that are under way together.
    private static let purgeWidth = 64

    /// Brings the definitions' status up to date, serves what they say, and carries on with those that are to go.
    ///
    /// Called after every write of a definition, after writes of instances of a definition that is to go, and at start.
    /// It may run several times at once: each step is decided anew on the stored state.
    func settleDefinitions() async throws {
        try await settleNames()
        try publishDefinitions()
        for definition in try storedDefinitions() where definition.isTerminating {
            guard definition.finalizers.contains(Self.definitionFinalizer) else { continue }
            try await purge(definition)
        }
    }

    func publishDefinitions() throws {
        try catalogue.publish { try storedDefinitions() }
    }

    private func storedDefinitions() throws -> [Object] {
        try records.store.page(prefix: ObjectRecords.prefix(Definition.resource, namespace: nil)).records.map {
            try ObjectRecords.object(of: $0)
        }
    }

    private func settleNames() async throws {
        var machine = NamingMachine(try storedDefinitions())
        for action in machine.settled(at: environment.now().rfc3339) {
            try await changeDefinition(action.name) { object in
                object["status", "acceptedNames"] = action.acceptedNames
                object["status", "conditions"] = .array(action.conditions)
            }
        }
    }

    /// Changes a definition's status; one that is gone is left alone.
    private func changeDefinition(_ name: String, _ change: (inout Object) -> Void) async throws {
        guard let served = served.find(Definition.resource) else { return }
        do {
            _ = try await self.change(Definition.resource, namespace: "", name: name) { old in
                var new = old
                change(&new)
                return settle(old, new, of: served)
            }
        } catch let problem as Problem where problem.reason == .notFound {
            return
        }
    }

    // MARK: The end

    /// Deletes the instances of a definition; when none is left, the definition goes (upstream:
    /// pkg/controller/finalizer/crd_finalizer.go).
    private func purge(_ object: Object) async throws {
        let definition = Definition(object)
        let moment = environment.now().rfc3339
        var resource = Resource(
            group: definition.group, version: definition.storageVersion, kind: definition.names.kind,
            plural: object["spec", "names", "plural"]?.string ?? "", isNamespaced: definition.isNamespaced)
        resource.view = nil
        // Without accepted names nothing was ever stored.
        let isServed = !definition.names.plural.isEmpty
        let prefix = ObjectRecords.prefix(resource, namespace: nil)
        var left = isServed ? try records.store.page(prefix: prefix).records : []
        if !left.isEmpty {
            let why = "CustomResource deletion is in progress"
            try await changeDefinition(definition.name) {
                NamingMachine.set("Terminating", true, "InstanceDeletionInProgress", why, in: &$0, at: moment)
            }
            try await delete(try left.map { try ObjectRecords.object(of: $0) }, of: resource)
            left = try records.store.page(prefix: prefix, limit: 1).records
        }
        // Instances with finalizers of their own are waited for.
        if !left.isEmpty { return }
        try await changeDefinition(definition.name) {
            NamingMachine.set(
                "Terminating", false, "InstanceDeletionCompleted", "removed all instances", in: &$0, at: moment)
            $0.finalizers = $0.finalizers.filter { $0 != Self.definitionFinalizer }
        }
        try await settleNames()
        try publishDefinitions()
    }

    private func delete(_ objects: [Object], of resource: Resource) async throws {
        let served = ServedResource(resource, strategy: PlainStrategy())
        let now = environment.now()
        try await withThrowingTaskGroup(of: Void.self) { group in
            var waiting = objects[...]
            for _ in 0..<Self.purgeWidth {
                guard let object = waiting.popFirst() else { break }
                group.addTask { try await self.delete(object, served, now) }
            }
            while try await group.next() != nil {
                guard let object = waiting.popFirst() else { continue }
                group.addTask { try await self.delete(object, served, now) }
            }
        }
    }

    private func delete(_ object: Object, _ served: ServedResource, _ now: Timestamp) async throws {
        do {
            _ = try await change(served.resource, namespace: object.namespace, name: object.name) { old in
                KubernetesAPI.deletion(of: old, served, DeleteOptions(), now: now)
            }
        } catch let problem as Problem where problem.reason == .notFound {
            return
        }
    }
}

// MARK: Requests

extension KubernetesAPI {
    /// What a request of a custom resource or of a definition means beyond its own answer.
    func conclude(_ call: APICall, _ answer: APIAnswer) async throws -> APIAnswer {
        var answer = answer
        if let warning = call.served.custom?.version.deprecation { answer.add(warning: warning) }
        let isRead = call.request.method == .get || call.request.method == .head
        guard !isRead, answer.response.status.code < 300 else { return answer }
        let endsInstances = call.served.custom?.definition.isTerminating == true
        if call.resource == Definition.resource || endsInstances { try await settleDefinitions() }
        return answer
    }

    /// Refuses what a definition that is to go no longer takes.
    func checkServing(_ call: APICall) throws(Problem) {
        guard let custom = call.served.custom, custom.definition.isTerminating, call.name == nil,
            call.request.method == .post
        else { return }
        throw Problem(
            .methodNotAllowed, "create not allowed while custom resource definition is terminating")
    }
}

extension KubernetesAPI {
    /// Refuses more definitions than are kept.
    func admitDefinition() throws(Problem) {
        let prefix = ObjectRecords.prefix(Definition.resource, namespace: nil)
        let page = try records.store.page(prefix: prefix, limit: 1)
        guard page.records.count + page.remaining >= limits.definitions else { return }
        throw Problem(
            .forbidden,
            "there are \(limits.definitions) CustomResourceDefinitions already, and no more are kept: "
                + "delete one first")
    }
}

/// The chunks of a watch, which ends when its kind is served otherwise.
struct ServingChunks: APIChunks, APIEvents {
    let chunks: WatchChunks
    let kind: CustomKind

    func next() async throws -> [UInt8]? { try await untilOver { [chunks] in try await chunks.next() } }

    var events: (any APIEvents)? { self }

    func nextEvents() async throws -> [WatchEvent]? {
        try await untilOver { [chunks] in try await chunks.nextEvents() }
    }

    /// What comes next; nil as soon as the kind is served otherwise.
    private func untilOver<Part: Sendable>(_ next: @escaping @Sendable () async throws -> Part?) async throws -> Part? {
        try await withThrowingTaskGroup(of: Part?.self) { group in
            group.addTask(operation: next)
            group.addTask { [kind] in
                try await kind.isOver.wait()
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
