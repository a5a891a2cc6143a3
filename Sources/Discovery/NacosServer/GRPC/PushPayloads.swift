// The messages that the server sends on a client's stream.

import Catalogue
import Configurations
import Formats

struct PushPayloads: Sendable {
    let backend: Backend

    /// What `SetupAckRequest` says this server can do (`com.alibaba.nacos.api.ability.constant.AbilityKey`).
    static let abilities: JSON = [
        "supportPersistentInstanceByGrpc": true, "fuzzyWatch": true, "lock": false, "mcp": false, "agent": false,
    ]

    /// The message for a subject, noted as pushed; nil when there is nothing to tell any more.
    func payload(for subject: PushSubject, again: Bool, to connection: Connection) -> Payload? {
        switch subject {
        case .service(let service): return self.service(service, again: again, connection)
        case .item(let name):
            guard let listened = connection.listened(name) else { return nil }
            return message(
                "ConfigChangeNotifyRequest", "config", subject, connection,
                [
                    "dataId": .string(name.dataID), "group": .string(listened.group),
                    "tenant": .string(listened.tenant ?? ""),
                ])
        case .watch(let name): return watch(name, again: again, connection)
        case .abilities:
            return message("SetupAckRequest", "internal", subject, connection, ["abilityTable": Self.abilities])
        case .presence: return message("ClientDetectionRequest", "internal", subject, connection, [:])
        case .reset:
            return message(
                "ConnectResetRequest", "internal", subject, connection,
                [
                    "serverIp": "", "serverPort": "", "connectionId": .string(connection.id),
                ])
        }
    }

    private func message(
        _ type: String, _ module: String, _ subject: PushSubject, _ connection: Connection, _ fields: JSON
    ) -> Payload {
        var body: JSON = [
            "requestId": .string(connection.push(subject, now: .now)), "module": .string(module), "headers": [:],
        ]
        for member in fields.object ?? JSONObject() { body[member.key] = member.value }
        return Payload(type: type, body: body.bytes)
    }

    // MARK: Services

    private func service(_ service: ServiceName, again: Bool, _ connection: Connection) -> Payload? {
        guard let snapshot = backend.catalogue.tell(connection.subscriber, of: service, again: again) else {
            return nil
        }
        let requestID = connection.push(.service(service), version: snapshot.version, now: .now)
        let info = NamingOperations(backend: backend).info(snapshot, connection.selection(of: service), .connected)
        var body: [UInt8] = []
        body.reserveCapacity(info.count + 256)
        body.append(contentsOf: #"{"requestId":""#.utf8)
        body.append(contentsOf: requestID.utf8)
        body.append(contentsOf: #"","module":"naming","headers":{},"namespace":"#.utf8)
        JSONText.append(NacosNames.nacosNamespace(service.namespace), to: &body)
        body.append(contentsOf: #","serviceName":"#.utf8)
        JSONText.append(service.name, to: &body)
        body.append(contentsOf: #","groupName":"#.utf8)
        JSONText.append(service.group, to: &body)
        body.append(contentsOf: #","serviceInfo":"#.utf8)
        body.append(contentsOf: info)
        body.append(UInt8(ascii: "}"))
        return Payload(type: "NotifySubscriberRequest", body: body)
    }

    // MARK: Fuzzy watches

    private func watch(_ name: FuzzyWatchName, again: Bool, _ connection: Connection) -> Payload? {
        guard let sync = connection.takeSync(name, again: again) else { return nil }
        let subject = PushSubject.watch(name)
        switch sync {
        case .first(let changes):
            return syncMessage(name, "FUZZY_WATCH_INIT_NOTIFY", changes, connection)
        case .firstEnded: return syncMessage(name, "FINISH_FUZZY_WATCH_INIT_NOTIFY", [], connection)
        case .later(let changes):
            guard let change = changes.first, changes.count == 1 else {
                return syncMessage(name, "FUZZY_WATCH_DIFF_SYNC_NOTIFY", changes, connection)
            }
            let type = JSON.string(Self.changeType(change, name.kind))
            switch name.kind {
            case .services:
                return message(
                    "NamingFuzzyWatchChangeNotifyRequest", "naming", subject, connection,
                    [
                        "serviceKey": .string(change.key), "changedType": type,
                        "syncType": "FUZZY_WATCH_RESOURCE_CHANGED",
                    ])
            case .items:
                return message(
                    "ConfigFuzzyWatchChangeNotifyRequest", "config", subject, connection,
                    [
                        "groupKey": .string(change.key), "changeType": type,
                    ])
            }
        }
    }

    private func syncMessage(
        _ name: FuzzyWatchName, _ syncType: String, _ changes: [FuzzyWatch.Change], _ connection: Connection
    ) -> Payload {
        let keyName = name.kind == .services ? "serviceKey" : "groupKey"
        let contexts = changes.map { change -> JSON in
            [keyName: .string(change.key), "changedType": .string(Self.changeType(change, name.kind))]
        }
        let type = name.kind == .services ? "NamingFuzzyWatchSyncRequest" : "ConfigFuzzyWatchSyncRequest"
        let module = name.kind == .services ? "naming" : "config"
        return message(
            type, module, .watch(name), connection,
            [
                "groupKeyPattern": .string(name.pattern.text), "syncType": .string(syncType),
                "contexts": .array(contexts), "totalBatch": 1, "currentBatch": 1,
            ])
    }

    private static func changeType(_ change: FuzzyWatch.Change, _ kind: FuzzyWatchName.Kind) -> String {
        switch kind {
        case .services: change.isAdded ? "ADD_SERVICE" : "DELETE_SERVICE"
        case .items: change.isAdded ? "ADD_CONFIG" : "DELETE_CONFIG"
        }
    }
}
