// The unary requests of Nacos' gRPC that concern configuration, and fuzzy watches of either kind.

import Catalogue
import Configurations
import Formats

struct GRPCConfigRequests: Sendable {
    let backend: Backend

    private var operations: ConfigOperations { ConfigOperations(backend: backend) }

    /// Items in one batch.
    static let batchLimit = 10_000

    /// Nil for a request that is none of these.
    func perform(
        _ type: String, _ body: JSON, _ connection: Connection
    ) async throws(NacosProblem) -> GRPCRequests.Answer? {
        switch type {
        case "ConfigQueryRequest":
            return ("ConfigQueryResponse", try await query(body, connection))
        case "ConfigPublishRequest":
            try await operations.publish(try Self.draft(body, connection))
            return ("ConfigPublishResponse", [:])
        case "ConfigRemoveRequest":
            let variant = try NacosNames.tag(body["tag"]?.string).map { ConfigVariant.tag($0) } ?? .everyone
            try await operations.remove(try Self.item(in: body), variant, by: Self.writer(body, connection))
            return ("ConfigRemoveResponse", [:])
        case "ConfigBatchListenRequest":
            return ("ConfigChangeBatchListenResponse", ["changedConfigs": .array(try await listen(body, connection))])
        case "ConfigFuzzyWatchRequest":
            try await FuzzyWatchRequests(backend: backend).watch(.items, body, connection)
            return ("ConfigFuzzyWatchResponse", [:])
        default: return nil
        }
    }

    private func query(_ body: JSON, _ connection: Connection) async throws(NacosProblem) -> JSON {
        var reader = connection.reader
        if let tag = try NacosNames.tag(body["tag"]?.string) { reader.tag = tag }
        guard let item = try await operations.item(try Self.item(in: body)), let shown = item.shown(to: reader) else {
            throw .notFound("config data not exist")
        }
        return item.answer(shown)
    }

    private static func draft(_ body: JSON, _ connection: Connection) throws(NacosProblem) -> ConfigDraft {
        let more = body["additionMap"]?.stringMap ?? [:]
        var draft = ConfigDraft(name: try item(in: body), content: body["content"]?.string ?? "")
        draft.details = writer(body, connection)
        draft.details.type = ConfigOperations.type(more["type"])
        draft.details.application = more["appName"] ?? ""
        draft.details.labels = more["config_tags"] ?? ""
        draft.details.summary = more["desc"] ?? ""
        draft.details.use = more["use"] ?? ""
        draft.details.effect = more["effect"] ?? ""
        draft.details.schema = more["schema"] ?? ""
        draft.details.encryptedDataKey = more["encryptedDataKey"] ?? ""
        if let md5 = body["casMd5"]?.string, !md5.isEmpty { draft.expectedMD5 = md5 }
        if let tag = try NacosNames.tag(more["tag"]) { draft.variant = .tag(tag) }
        if let addresses = more["betaIps"], !addresses.isEmpty {
            draft.variant = .beta(NacosNames.addresses(addresses))
        }
        return draft
    }

    private static func writer(_ body: JSON, _ connection: Connection) -> ConfigDetails {
        var details = ConfigDetails()
        details.writer = body["additionMap"]?["src_user"]?.string ?? ""
        details.writerAddress = connection.address
        return details
    }

    private static func item(in body: JSON) throws(NacosProblem) -> ConfigName {
        try NacosNames.item(
            namespace: body["tenant"]?.string, group: body["group"]?.string, dataID: body["dataId"]?.string)
    }

    /// Notes what the client listens to with the fingerprint it has; answers with what is out of date already.
    private func listen(_ body: JSON, _ connection: Connection) async throws(NacosProblem) -> [JSON] {
        let contexts = body["configListenContexts"]?.array ?? []
        guard contexts.count <= Self.batchLimit else {
            throw .invalid("there are more than \(Self.batchLimit) items in one batch, the limit")
        }
        let listens = body["listen"]?.bool ?? true
        if listens { try await backend.waitForConfigurations() }
        let reader = connection.reader
        var changed: [JSON] = []
        for context in contexts {
            let name = try Self.item(in: context)
            guard listens else {
                backend.connections.unlisten(connection, from: name)
                connection.forget(name)
                continue
            }
            let item = ListenedItem(
                name: name, tenant: context["tenant"]?.string, group: context["group"]?.string ?? name.group,
                md5: context["md5"]?.string ?? "")
            guard connection.listen(item) else {
                throw .full("a connection may listen to \(Connection.listenedLimit) items, the limit")
            }
            backend.connections.listen(connection, to: name)
            if operations.md5(name, for: reader) != item.md5 {
                changed.append([
                    "dataId": .string(name.dataID), "group": .string(item.group), "tenant": .string(item.tenant ?? ""),
                ])
            }
        }
        return changed
    }
}

struct FuzzyWatchRequests: Sendable {
    let backend: Backend

    /// Begins a watch, or ends it with `watchType` CANCEL_WATCH.
    func watch(_ kind: FuzzyWatchName.Kind, _ body: JSON, _ connection: Connection) async throws(NacosProblem) {
        let pattern = try FuzzyPattern(parsing: body["groupKeyPattern"]?.string ?? "")
        let name = FuzzyWatchName(kind: kind, pattern: pattern)
        guard body["watchType"]?.string != "CANCEL_WATCH" else {
            backend.connections.unwatch(connection, name)
            return connection.forget(name)
        }
        switch kind {
        case .services: try await backend.waitForServices()
        case .items: try await backend.waitForConfigurations()
        }
        let received = Set(body["receivedGroupKeys"]?.strings ?? [])
        let isInitializing = body["initializing"]?.bool ?? body["isInitializing"]?.bool ?? received.isEmpty
        backend.connections.watch(connection, name)
        let before = matching(name)
        guard
            connection.watch(
                name, FuzzyWatch(received: received, matching: before, isInitializing: isInitializing))
        else {
            backend.connections.unwatch(connection, name)
            throw .full("a connection may have \(FuzzyWatch.limit) fuzzy watches, the limit")
        }
        // What changed between the picture and the watch was told to nobody.
        let after = matching(name)
        for key in before.symmetricDifference(after) { connection.watched(name, key, exists: after.contains(key)) }
    }

    private func matching(_ name: FuzzyWatchName) -> Set<String> {
        let pattern = name.pattern
        switch name.kind {
        case .services:
            let all = NamingOperations(backend: backend).services(namespace: pattern.namespace)
            return Set(
                all.lazy.filter {
                    pattern.matches(namespace: $0.namespace, group: $0.group, name: $0.name)
                }.map { NacosNames.key(of: $0) })
        case .items:
            let all = backend.configurations.items(namespace: pattern.namespace)
            return Set(
                all.lazy.map(\.name).filter {
                    pattern.matches(namespace: $0.namespace, group: $0.group, name: $0.dataID)
                }.map { NacosNames.key(of: $0) })
        }
    }
}
