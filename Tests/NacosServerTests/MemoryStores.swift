// The ports of the Nacos interface in memory, with the real machines behind them.

import Catalogue
import GRPCServing
import Objects
import Synchronization
import Timing

@testable import Configurations
@testable import NacosServer

/// Configuration as ConfigMaps that only this object keeps.
final class MemoryConfigurations: ConfigStore {
    private struct State {
        var machine = ConfigMachine()
        var objects: [ObjectKey: Object] = [:]
        var histories: [ConfigName: Object] = [:]
        var revision = 0
        var now: UInt64 = 1_700_000_000_000
    }

    private let state = Mutex(State())
    private let feed = Mutex<ChangeFeed<ConfigName>?>(nil)
    let limits = ConfigLimits()

    var isComplete: Bool { true }
    func waitUntilComplete() async {}
    func item(_ name: ConfigName) -> ConfigItem? { state.withLock { $0.machine.item(name) } }
    func items(namespace: String?) -> [ConfigItem] { state.withLock { $0.machine.items(namespace: namespace) } }

    func changes() -> ChangeFeed<ConfigName> {
        let made = ChangeFeed<ConfigName>(limit: limits.feedNames)
        feed.withLock { $0 = made }
        return made
    }

    /// Puts a ConfigMap in, as kubectl would.
    func put(_ object: Object) {
        let names = state.withLock { state in
            state.revision += 1
            var object = object
            object.resourceVersion = String(state.revision)
            state.objects[object.key] = object
            return state.machine.received(object)
        }
        feed.withLock { $0 }?.add(names)
    }

    func publish(_ draft: ConfigDraft) async throws(ConfigProblem) {
        guard draft.content.utf8.count <= limits.contentBytes else { throw .tooLong(limitBytes: limits.contentBytes) }
        if let expected = draft.expectedMD5, let text = item(draft.name)?.text, text.md5 != expected { throw .changed }
        let object = state.withLock { state in
            state.now += 1
            let current = state.machine.holder(of: draft.name).flatMap { state.objects[$0] }
            let before = current.flatMap { ConfigForm.item(of: $0) }
            let object = ConfigForm.object(draft, over: current, nowMilliseconds: state.now)
            state.histories[draft.name] = ConfigHistory.object(
                of: draft.name, adding: before == nil ? .inserted : .updated,
                content: before?.text?.content ?? draft.content, details: draft.details,
                over: state.histories[draft.name], nowMilliseconds: state.now, limits: limits)
            return object
        }
        put(object)
    }

    func remove(
        _ name: ConfigName, _ variant: ConfigVariant, by details: ConfigDetails
    ) async throws(ConfigProblem) -> Bool {
        guard let key = state.withLock({ $0.machine.holder(of: name) }),
            let current = state.withLock({ $0.objects[key] })
        else { return false }
        if let rest = ConfigForm.object(without: variant, over: current, nowMilliseconds: 0) {
            put(rest)
        } else {
            let names = state.withLock { state in
                state.objects[key] = nil
                return state.machine.removed(key)
            }
            feed.withLock { $0 }?.add(names)
        }
        return true
    }

    func annotate(_ name: ConfigName, labels: String?, summary: String?) async throws(ConfigProblem) -> Bool {
        guard let key = state.withLock({ $0.machine.holder(of: name) }),
            let current = state.withLock({ $0.objects[key] })
        else { return false }
        put(ConfigForm.annotated(current, labels: labels, summary: summary))
        return true
    }

    func history(of name: ConfigName) async throws(ConfigProblem) -> [ConfigVersion] {
        state.withLock { $0.histories[name] }.map { ConfigHistory.versions(in: $0, of: name) } ?? []
    }
}

/// Records of services that only this object keeps; persistent instances go into the catalogue.
final class MemoryServices: ServiceStore {
    private let catalogue: ServiceCatalogue
    private let records = Mutex<[ServiceName: ServiceRecord]>([:])

    init(catalogue: ServiceCatalogue) { self.catalogue = catalogue }

    var isComplete: Bool { true }
    func waitUntilComplete() async {}
    func record(of service: ServiceName) -> ServiceRecord { records.withLock { $0[service] } ?? ServiceRecord() }
    func declared() -> [ServiceName] { records.withLock { $0.filter { $0.value.isDeclared }.map(\.key) } }

    func change(
        _ service: ServiceName, _ edit: @escaping @Sendable (inout ServiceRecord) -> Void
    ) async throws(ServiceStoreProblem) {
        let (before, after) = records.withLock { records in
            let before = records[service] ?? ServiceRecord()
            var after = before
            edit(&after)
            // What is stored is text, so what is read back is what text carries.
            records[service] = after.isEmpty ? nil : ServiceRecord(after.tree)
            return (before, after)
        }
        for place in before.instances.keys where after.instances[place] == nil {
            catalogue.deregister(
                address: place.ip, port: place.port, cluster: place.cluster, of: .nacos, from: service)
        }
        for instance in after.instances.values {
            try? catalogue.register(instance.instance(lifetime: .persistent), as: service)
        }
    }
}

final class MemoryNamespaces: NamespaceStore {
    private let all = Mutex([NacosNamespace(id: "public", title: "public", summary: "", isOwn: false)])

    func namespaces() -> [NacosNamespace] { all.withLock { $0 } }

    func create(_ namespace: NacosNamespace) async throws(NamespaceProblem) {
        if namespaces().contains(where: { $0.id == namespace.id }) { throw .exists(namespace.id) }
        all.withLock { $0.append(namespace) }
    }

    func update(_ namespace: NacosNamespace) async throws(NamespaceProblem) {
        guard namespaces().contains(where: { $0.id == namespace.id }) else { throw .unknown(namespace.id) }
        all.withLock { all in all = all.map { $0.id == namespace.id ? namespace : $0 } }
    }

    func delete(_ id: String) async throws(NamespaceProblem) {
        guard let found = namespaces().first(where: { $0.id == id }) else { throw .unknown(id) }
        guard found.isOwn else { throw .notOwn(id) }
        all.withLock { $0.removeAll { $0.id == id } }
    }
}

/// A backend in memory and what it stands on.
struct MemoryBackend: Sendable {
    let catalogue: ServiceCatalogue
    let configurations = MemoryConfigurations()
    let backend: Backend

    init(catalogue: ServiceCatalogue = ServiceCatalogue(sources: [])) {
        self.catalogue = catalogue
        backend = Backend(
            catalogue: catalogue, configurations: configurations, services: MemoryServices(catalogue: catalogue),
            namespaces: MemoryNamespaces())
    }

    func ask(
        _ method: String, _ path: String, _ query: String = "", headers: [(String, String)] = [],
        peer: String = "10.0.0.9",
        userAgent: String = ""
    ) async -> OpenAPIResponse {
        var request = OpenAPIRequest(
            method: method, path: path, parameters: FormParameters(query), peer: peer, userAgent: userAgent)
        for (name, value) in headers { request.set(name, value) }
        return await OpenAPI(backend: backend).answer(request)
    }
}

extension GRPCRequests {
    /// The answer, whether it is made at once or not.
    func reply(_ payload: Payload, peer: GRPCPeer) async -> Payload {
        switch answer(payload, peer: peer) {
        case .now(let reply): reply
        case .later(let work): await work()
        }
    }
}
