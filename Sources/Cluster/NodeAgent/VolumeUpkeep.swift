// Keeps the volumes of running pods up to date: ConfigMaps and Secrets as they change, tokens before they run out.

import Client
import Objects
import Reconciling
import Synchronization

/// Watches what volumes are made from and has those of the pods concerned made anew.
final class VolumeUpkeep: Sendable {
    /// How often pods with tokens are looked at although nothing changed.
    static let periodSeconds = 60
    /// What changes within this time is looked at together: of a thousand writes most concern no pod here.
    static let gathering = Duration.milliseconds(100)

    private let node: NodeSurroundings
    private let configMaps: Informer
    private let secrets: Informer
    private let changed = Mutex<Set<Source>>([])
    private let signal = Signal()

    private enum Source: Hashable {
        case configMap(ObjectKey)
        case secret(ObjectKey)
        case pod(ObjectKey)
    }

    init(node: NodeSurroundings) {
        self.node = node
        // That they changed is all that is asked; their content is read when a volume is made.
        configMaps = Informer(client: node.client.showingMetadataOnly, resource: .configMaps, logger: node.logger)
        secrets = Informer(client: node.client.showingMetadataOnly, resource: .secrets, logger: node.logger)
        configMaps.onChange { [weak self] change in self?.note(change) { .configMap($0) } }
        secrets.onChange { [weak self] change in self?.note(change) { .secret($0) } }
    }

    /// A pod's own labels and annotations may stand in its volumes.
    func podChanged(from old: Object?, to new: Object) {
        guard let old, old.labels != new.labels || old.annotations != new.annotations else { return }
        add(.pod(new.key))
    }

    /// Works until cancelled.
    func run(pods: Informer) async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.configMaps.run() }
            group.addTask { await self.secrets.run() }
            var lastRound = ContinuousClock.now
            while !Task.isCancelled {
                await signal.wait(until: lastRound + .seconds(Self.periodSeconds))
                try? await Task.sleep(for: Self.gathering)
                let sources = changed.withLock { changed in
                    defer { changed = [] }
                    return changed
                }
                let isDue = ContinuousClock.now - lastRound >= .seconds(Self.periodSeconds)
                if isDue { lastRound = .now }
                for pod in pods.list()
                where Self.isAlive(pod) && (isDue && Self.hasToken(pod) || concerns(sources, pod)) {
                    await PodDeeds(node, PodSpecification(pod)).refreshVolumes(pod)
                }
            }
        }
    }

    private func note(_ change: Change, _ source: (ObjectKey) -> Source) {
        // What was there at the first sight is in the volumes already.
        guard let new = change.new, change.old != nil || configMaps.isSynced && secrets.isSynced else { return }
        add(source(new.key))
    }

    private func add(_ source: Source) {
        changed.withLock { _ = $0.insert(source) }
        signal.raise()
    }

    private func concerns(_ sources: Set<Source>, _ pod: Object) -> Bool {
        guard !sources.isEmpty, !(pod.spec["volumes"]?.array ?? []).isEmpty else { return false }
        if sources.contains(.pod(pod.key)) { return true }
        let names = SourceNames(in: pod)
        return names.configMaps.contains { sources.contains(.configMap(ObjectKey(namespace: pod.namespace, name: $0))) }
            || names.secrets.contains { sources.contains(.secret(ObjectKey(namespace: pod.namespace, name: $0))) }
    }

    private static func isAlive(_ pod: Object) -> Bool {
        !pod.isTerminating && pod.status["phase"]?.string == "Running"
    }

    private static func hasToken(_ pod: Object) -> Bool {
        (pod.spec["volumes"]?.array ?? []).contains { volume in
            (volume["projected", "sources"]?.array ?? []).contains { $0["serviceAccountToken"] != nil }
        }
    }
}
