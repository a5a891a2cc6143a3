// Configuration in the cluster: an informer of ConfigMaps, the machine over it, and the writes.

import Client
import Formats
import Logging
import Objects
import Reconciling
import Synchronization
import Timing

/// Configuration items as the ConfigMaps of a cluster. Needs `run()` to be running.
package final class ClusterConfigurations: ConfigStore {
    private struct State {
        var machine = ConfigMachine()
        var feeds = ChangeFeeds<ConfigName>()
    }

    private let client: KubernetesClient
    private let limits: ConfigLimits
    private let clock: WallClock
    private let logger: Logger
    private let informer: Informer
    private let state = Mutex(State())
    /// Writers who wait to see what they wrote.
    private let writers = WaitingRoom<Object>()

    package init(
        client: KubernetesClient, limits: ConfigLimits = ConfigLimits(), clock: WallClock = .system, logger: Logger
    ) {
        self.client = client
        self.limits = limits
        self.clock = clock
        self.logger = logger
        informer = Informer(
            client: client, resource: .configMaps, logger: logger, admits: { ConfigForm.isItem($0) })
    }

    /// Follows the cluster until cancelled.
    package func run() async {
        informer.onChange { [self] change in follow(change) }
        await informer.run()
    }

    private func follow(_ change: Change) {
        if let object = change.new, !object.isTerminating, ConfigForm.item(of: object) == nil {
            logger.warning(
                "this ConfigMap is no Nacos configuration: no member of its data is its content; name one",
                metadata: ["configMap": "\(object.key)", "annotation": "\(ConfigMark.key)"])
        }
        let names = state.withLock { state in
            let names = change.new.map { state.machine.received($0) } ?? state.machine.removed(change.key)
            if !names.isEmpty { state.feeds.add(names) }
            return names
        }
        for name in names { warnOfRivals(name) }
        writers.wake { shows($0) }
    }

    private func warnOfRivals(_ name: ConfigName) {
        for rival in state.withLock({ $0.machine.outdone(for: name) }) {
            logger.warning(
                "two ConfigMaps say that they are the same Nacos configuration; the older one counts",
                metadata: ["item": "\(name)", "leftOut": "\(rival)"])
        }
    }

    // MARK: Reading

    package var isComplete: Bool { informer.isSynced }

    package func waitUntilComplete() async {
        // Only cancellation ends the wait early.
        try? await informer.waitUntilSynced()
    }

    package func item(_ name: ConfigName) -> ConfigItem? { state.withLock { $0.machine.item(name) } }

    package func items(namespace: String?) -> [ConfigItem] { state.withLock { $0.machine.items(namespace: namespace) } }

    package func changes() -> ChangeFeed<ConfigName> {
        state.withLock { $0.feeds.open(limit: limits.feedNames) }
    }

    package func history(of name: ConfigName) async throws(ConfigProblem) -> [ConfigVersion] {
        guard let object = try await stored(ObjectKey(namespace: name.namespace, name: ConfigForm.historyName(name)))
        else { return [] }
        return ConfigHistory.versions(in: object, of: name)
    }

    // MARK: Writing

    package func publish(_ draft: ConfigDraft) async throws(ConfigProblem) {
        try check(draft)
        var current = held(draft.name)
        for _ in 0..<limits.attempts {
            let before = current.flatMap { ConfigForm.item(of: $0) }
            if let expected = draft.expectedMD5, let text = before?.text, text.md5 != expected { throw .changed }
            if case .tag(let tag) = draft.variant, let before, before.tagged[tag] == nil,
                before.tagged.count >= limits.tags
            {
                throw .tooMany(what: "tagged texts of one item", limit: limits.tags)
            }
            let object = ConfigForm.object(draft, over: current, nowMilliseconds: now)
            switch try await writeMakingNamespace(object, isNew: current == nil) {
            case .stored(let stored):
                if draft.variant == .everyone {
                    await remember(
                        draft.name, before?.text == nil ? .inserted : .updated,
                        content: before?.text?.content ?? draft.content,
                        details: ConfigForm.item(of: stored)?.details ?? draft.details)
                }
                await waitUntilShown(stored)
                return
            case .beaten: current = try await fresh(draft.name, object.key)
            }
        }
        throw .notStored("\(limits.attempts) times another writer was faster")
    }

    package func remove(
        _ name: ConfigName, _ variant: ConfigVariant, by details: ConfigDetails
    ) async throws(ConfigProblem) -> Bool {
        guard var current = held(name) else { return false }
        for _ in 0..<limits.attempts {
            guard let before = ConfigForm.item(of: current), before.has(variant) else { return false }
            let outcome: Written
            if let object = ConfigForm.object(without: variant, over: current, nowMilliseconds: now) {
                outcome = try await write(object, isNew: false)
            } else if ConfigForm.isOwn(current) {
                outcome = try await delete(current)
            } else {
                outcome = try await write(ConfigForm.released(current), isNew: false)
            }
            if case .stored(let stored) = outcome {
                if variant == .everyone {
                    var details = details
                    details.type = before.details.type
                    details.createdMilliseconds = before.details.createdMilliseconds
                    await remember(name, .deleted, content: before.text?.content ?? "", details: details)
                }
                await waitUntilShown(stored)
                return true
            }
            guard let next = try await fresh(name, current.key) else { return true }
            current = next
        }
        throw .notStored("\(limits.attempts) times another writer was faster")
    }

    package func annotate(
        _ name: ConfigName, labels: String?, summary: String?
    ) async throws(ConfigProblem) -> Bool {
        guard var current = held(name) else { return false }
        for _ in 0..<limits.attempts {
            let object = ConfigForm.annotated(current, labels: labels, summary: summary)
            if case .stored(let stored) = try await write(object, isNew: false) {
                await waitUntilShown(stored)
                return true
            }
            guard let next = try await fresh(name, current.key) else { return false }
            current = next
        }
        throw .notStored("\(limits.attempts) times another writer was faster")
    }

    private func check(_ draft: ConfigDraft) throws(ConfigProblem) {
        guard draft.content.utf8.count <= limits.contentBytes else { throw .tooLong(limitBytes: limits.contentBytes) }
        if case .beta(let addresses) = draft.variant, addresses.count > limits.betaAddresses {
            throw .tooMany(what: "beta addresses", limit: limits.betaAddresses)
        }
        guard isComplete else { throw .starting }
    }

    private var now: UInt64 {
        let time = clock.now()
        return UInt64(max(time.secondsSinceEpoch, 0)) * 1_000 + UInt64(time.nanoseconds / 1_000_000)
    }

    private func held(_ name: ConfigName) -> Object? {
        state.withLock { $0.machine.holder(of: name) }.flatMap { informer.get($0) }
    }

    // MARK: The API server

    /// What became of a write.
    private enum Written {
        case stored(Object)
        /// Somebody else wrote in between, or made or deleted it.
        case beaten
    }

    private func write(_ object: Object, isNew: Bool) async throws(ConfigProblem) -> Written {
        do {
            return .stored(
                isNew ? try await client.create(.configMaps, object) : try await client.update(.configMaps, object))
        } catch let problem as Problem {
            return try outcome(of: problem, object)
        } catch {
            throw .notStored("\(error)")
        }
    }

    /// Writes, and once more when the namespace was missing and could be made. Nacos takes configuration in a namespace
    /// that nobody made (alibaba/nacos#12889).
    private func writeMakingNamespace(_ object: Object, isNew: Bool) async throws(ConfigProblem) -> Written {
        do throws(ConfigProblem) {
            return try await write(object, isNew: isNew)
        } catch {
            guard case .noNamespace(let name) = error else { throw error }
            let isThere: Bool
            do {
                isThere = try await NamespaceMaking.make(name, client, logger)
            } catch {
                throw .notStored("its namespace '\(name)' could not be made: \(error)")
            }
            guard isThere else { throw error }
            return try await write(object, isNew: isNew)
        }
    }

    private func delete(_ object: Object) async throws(ConfigProblem) -> Written {
        do {
            try await client.delete(
                .configMaps, object.key, uid: object.uid, resourceVersion: object.resourceVersion)
            var gone = object
            gone.resourceVersion = ""
            return .stored(gone)
        } catch let problem as Problem {
            return try outcome(of: problem, object)
        } catch {
            throw .notStored("\(error)")
        }
    }

    private func outcome(of problem: Problem, _ object: Object) throws(ConfigProblem) -> Written {
        if problem.isOfNamespace { throw .noNamespace(object.namespace) }
        if problem.code == 409 || problem.code == 404 { return .beaten }
        throw .notStored(problem.message)
    }

    /// The item's ConfigMap as the server has it now, after a write was beaten.
    private func fresh(_ name: ConfigName, _ key: ObjectKey) async throws(ConfigProblem) -> Object? {
        guard let object = try await stored(key) else { return nil }
        guard ConfigForm.name(of: object) == name else { throw .inTheWay(key.description) }
        return object
    }

    private func stored(_ key: ObjectKey) async throws(ConfigProblem) -> Object? {
        do {
            return try await client.find(.configMaps, key)
        } catch {
            throw .notStored("\(error)")
        }
    }

    /// Writes an entry of the history. The item itself is stored by then, so a failure is only logged.
    private func remember(
        _ name: ConfigName, _ deed: ConfigVersion.Deed, content: String, details: ConfigDetails
    ) async {
        let key = ObjectKey(namespace: name.namespace, name: ConfigForm.historyName(name))
        do throws(ConfigProblem) {
            for _ in 0..<limits.attempts {
                let current = try await stored(key)
                let object = ConfigHistory.object(
                    of: name, adding: deed, content: content, details: details, over: current, nowMilliseconds: now,
                    limits: limits)
                if case .stored = try await write(object, isNew: current == nil) { return }
            }
        } catch {
            logger.warning(
                "an entry of a configuration's history was not stored",
                metadata: [
                    "item": "\(name)", "error": "\(error)",
                ])
        }
    }

    // MARK: Seeing one's own writes

    /// Returns when the machine shows what was written (the ConfigMap's end, for one without revision).
    private func waitUntilShown(_ object: Object) async {
        await atMost(limits.visibilityPatience) { [self] in await writers.wait(for: object) { shows($0) } }
    }

    private func shows(_ object: Object) -> Bool { state.withLock { $0.machine.shows(object) } }
}

extension ConfigItem {
    func has(_ variant: ConfigVariant) -> Bool {
        switch variant {
        case .everyone: text != nil
        case .beta: beta != nil
        case .tag(let tag): tagged[tag] != nil
        }
    }
}
