// The unary requests of Nacos' gRPC: each is read, done and answered with its own response type.

import Catalogue
import Formats
import GRPCServing

/// How a request is answered: at once, or by a task.
enum PayloadAnswer: Sendable {
    case now(Payload)
    case later(@Sendable () async -> Payload)
}

struct GRPCRequests: Sendable {
    let backend: Backend

    private var catalogue: ServiceCatalogue { backend.catalogue }
    private var operations: NamingOperations { NamingOperations(backend: backend) }

    typealias Answer = (type: String, fields: JSON)

    /// A longer body is read by a task.
    private static let smallBytes = 64 << 10

    /// Answers a request that came over the TCP connection from this peer.
    func answer(_ payload: Payload, peer: GRPCPeer) -> PayloadAnswer {
        if payload.body.count <= Self.smallBytes { return begin(payload, peer) }
        return .later {
            switch begin(payload, peer) {
            case .now(let answer): answer
            case .later(let work): await work()
            }
        }
    }

    private func begin(_ payload: Payload, _ peer: GRPCPeer) -> PayloadAnswer {
        let type = payload.type
        var requestID = ""
        do throws(NacosProblem) {
            let body = try Self.body(of: payload)
            requestID = body["requestId"]?.string ?? ""
            if type == "ServerCheckRequest" {
                let fields: JSON = [
                    "connectionId": .string(ConnectionName.make(peer: peer)), "supportAbilityNegotiation": true,
                ]
                return .now(Self.response("ServerCheckResponse", requestID, fields))
            }
            guard let connection = backend.connections.connection(from: peer) else { throw .unregistered }
            connection.heard(now: .now)
            try backend.accounts?.check(payload, body)
            if let answer = try answerAtOnce(type, body, connection, requestID) { return .now(answer) }
            return .later { [requestID] in
                do throws(NacosProblem) {
                    return try await answer(type, body, connection, requestID)
                } catch {
                    return Self.refusal(error, of: type, requestID)
                }
            }
        } catch {
            return .now(Self.refusal(error, of: type, requestID))
        }
    }

    /// The answer to what clients say and ask all the time, where nothing has to be waited for; nil for all else.
    private func answerAtOnce(
        _ type: String, _ body: JSON, _ connection: Connection, _ requestID: String
    ) throws(NacosProblem) -> Payload? {
        switch type {
        case "HealthCheckRequest": return Self.response("HealthCheckResponse", requestID, [:])
        case "InstanceRequest":
            guard let done = try declareOneAtOnce(body, connection) else { return nil }
            return Self.response("InstanceResponse", requestID, ["type": .string(done)])
        case "BatchInstanceRequest":
            let done = try declareAll(body, connection)
            return Self.response("BatchInstanceResponse", requestID, ["type": .string(done)])
        case "SubscribeServiceRequest", "ServiceQueryRequest":
            guard try operations.canListAtOnce(Self.service(in: body)) else { return nil }
            return try list(type, body, connection, requestID)
        default: return nil
        }
    }

    private func answer(
        _ type: String, _ body: JSON, _ connection: Connection, _ requestID: String
    ) async throws(NacosProblem) -> Payload {
        guard type == "SubscribeServiceRequest" || type == "ServiceQueryRequest" else {
            let (answerType, fields) = try await perform(type, body, connection)
            return Self.response(answerType, requestID, fields)
        }
        if body["subscribe"]?.bool != false { try await backend.waitForServices() }
        return try list(type, body, connection, requestID)
    }

    private func perform(
        _ type: String, _ body: JSON, _ connection: Connection
    ) async throws(NacosProblem) -> Answer {
        switch type {
        case "InstanceRequest":
            return ("InstanceResponse", ["type": .string(try await takeBack(body, connection))])
        case "PersistentInstanceRequest":
            return ("InstanceResponse", ["type": .string(try await declarePersistent(body))])
        case "ServiceListRequest":
            try await backend.waitForServices()
            let names = operations.names(namespace: body["namespace"]?.string, group: body["groupName"]?.string)
            let page = Page.of(
                names, number: body["pageNo"]?.integer ?? 1, size: body["pageSize"]?.integer ?? Page.largest)
            return (
                "ServiceListResponse",
                ["count": JSON(names.count), "serviceNames": .array(page.map { .string($0) })]
            )
        case "NamingFuzzyWatchRequest":
            try await FuzzyWatchRequests(backend: backend).watch(.services, body, connection)
            return ("NamingFuzzyWatchResponse", [:])
        default:
            if let answer = try await GRPCConfigRequests(backend: backend).perform(type, body, connection) {
                return answer
            }
            throw .unknownRequest(type)
        }
    }

    // MARK: Naming

    /// A connection holds one instance of a service: a second one takes the first one's place, as in Nacos. Nil when
    /// more than the instance is to be taken back.
    private func declareOneAtOnce(_ body: JSON, _ connection: Connection) throws(NacosProblem) -> String? {
        let service = try Self.service(in: body)
        let type = body["type"]?.string ?? ""
        switch type {
        case "registerInstance":
            let instance = try NacosInstance(json: body["instance"] ?? [:])
            try hold([instance], of: service, connection)
        case "deregisterInstance":
            guard backend.services.record(of: service).overrides.isEmpty else { return nil }
            catalogue.deregister(heldBy: connection.id, from: service)
        default:
            throw .invalid("Unsupported request type \(type)")
        }
        return type
    }

    private func takeBack(_ body: JSON, _ connection: Connection) async throws(NacosProblem) -> String {
        let service = try Self.service(in: body)
        let held = catalogue.snapshot(of: service).records.filter { $0.lifetime == .connection(connection.id) }
        catalogue.deregister(heldBy: connection.id, from: service)
        try await forgetOverrides(held.map(\.place), of: service)
        return "deregisterInstance"
    }

    /// What an operator changed of an instance goes with it.
    private func forgetOverrides(_ places: [InstancePlace], of service: ServiceName) async throws(NacosProblem) {
        let overridden = backend.services.record(of: service).overrides
        guard places.contains(where: { overridden[$0] != nil }) else { return }
        try await operations.change(service) { record in for place in places { record.overrides[place] = nil } }
    }

    private func declareAll(_ body: JSON, _ connection: Connection) throws(NacosProblem) -> String {
        let service = try Self.service(in: body)
        let type = body["type"]?.string ?? ""
        guard type == "batchRegisterInstance" else { throw .invalid("Unsupported request type \(type)") }
        var instances: [NacosInstance] = []
        for json in body["instances"]?.array ?? [] { instances.append(try NacosInstance(json: json)) }
        try hold(instances, of: service, connection)
        return type
    }

    private func declarePersistent(_ body: JSON) async throws(NacosProblem) -> String {
        let service = try Self.service(in: body)
        var instance = try NacosInstance(json: body["instance"] ?? [:])
        instance.ephemeral = false
        let type = body["type"]?.string ?? ""
        switch type {
        case "registerInstance": try await operations.register(instance, as: service)
        case "deregisterInstance":
            try await operations.deregister(instance.place, isPersistent: true, from: service)
        default: throw .invalid("Unsupported request type \(type)")
        }
        return type
    }

    private func hold(
        _ instances: [NacosInstance], of service: ServiceName, _ connection: Connection
    ) throws(NacosProblem) {
        let record = backend.services.record(of: service)
        do throws(CatalogueProblem) {
            try catalogue.replace(
                instances.map { record.amended($0).instance(lifetime: .connection(connection.id)) },
                heldBy: connection.id, as: service)
        } catch {
            throw NacosProblem(error)
        }
        // The connection may have ended meanwhile; then nobody else would take these back.
        if backend.connections.connection(of: connection.subscriber) == nil {
            catalogue.connectionClosed(connection.id, subscriber: connection.subscriber)
        }
    }

    /// The two requests that are answered with a list, when it is known.
    private func list(
        _ type: String, _ body: JSON, _ connection: Connection, _ requestID: String
    ) throws(NacosProblem) -> Payload {
        let isSubscription = type == "SubscribeServiceRequest"
        var answer = Self.response(isSubscription ? "SubscribeServiceResponse" : "QueryServiceResponse", requestID, [:])
        // The ServiceInfo is not read back from its bytes.
        answer.body.removeLast()
        answer.body.append(contentsOf: #","serviceInfo":"#.utf8)
        answer.body.append(contentsOf: isSubscription ? try subscribe(body, connection) : try query(body))
        answer.body.append(UInt8(ascii: "}"))
        return answer
    }

    private func subscribe(_ body: JSON, _ connection: Connection) throws(NacosProblem) -> [UInt8] {
        let service = try Self.service(in: body)
        guard body["subscribe"]?.bool ?? true else {
            catalogue.unsubscribe(connection.subscriber, from: service)
            backend.connections.unsubscribe(connection, from: service)
            connection.forget(service)
            return operations.info(catalogue.snapshot(of: service), ServiceSelection(), .connected)
        }
        let selection = ServiceSelection(clusters: body["clusters"]?.string ?? "")
        connection.select(selection, of: service)
        backend.connections.subscribe(connection, to: service)
        do throws(CatalogueProblem) {
            let snapshot = try catalogue.subscribe(connection.subscriber, to: service)
            if backend.connections.connection(of: connection.subscriber) == nil {
                catalogue.unsubscribe(connection.subscriber)
            }
            return operations.info(snapshot, selection, .connected)
        } catch {
            throw NacosProblem(error)
        }
    }

    private func query(_ body: JSON) throws(NacosProblem) -> [UInt8] {
        let service = try Self.service(in: body)
        // Java says healthyOnly, nacos-sdk-python says healthOnly.
        let isHealthyOnly = body["healthyOnly"]?.bool ?? body["healthOnly"]?.bool ?? false
        let selection = ServiceSelection(clusters: body["cluster"]?.string ?? "", isHealthyOnly: isHealthyOnly)
        return operations.info(catalogue.snapshot(of: service), selection, .connected)
    }

    // MARK: Forms

    static func body(of payload: Payload) throws(NacosProblem) -> JSON {
        guard !payload.body.isEmpty else { return [:] }
        do throws(FormatProblem) {
            return try JSON(parsing: payload.body)
        } catch {
            throw .invalid("the body is no JSON: \(error.description)")
        }
    }

    static func service(in body: JSON) throws(NacosProblem) -> ServiceName {
        try NacosNames.service(
            namespace: body["namespace"]?.string, group: body["groupName"]?.string, name: body["serviceName"]?.string)
    }

    /// Java tests `resultCode`, Python `errorCode` too, Go `success`; a null message ends a Python connection.
    static func response(_ type: String, _ requestID: String, _ fields: JSON) -> Payload {
        var body: JSON = [
            "resultCode": 200, "errorCode": 0, "success": true, "message": "", "requestId": .string(requestID),
        ]
        for member in fields.object ?? JSONObject() { body[member.key] = member.value }
        return Payload(type: type, body: body.bytes)
    }

    /// A refusal in the request's own response type, which a client shows to its user; only what concerns the
    /// connection itself, or has no known response type, is an ErrorResponse, which makes clients try again.
    static func refusal(_ problem: NacosProblem, of requestType: String, _ requestID: String) -> Payload {
        let type =
            switch problem {
            case .unregistered, .unknownRequest, .starting: "ErrorResponse"
            default: responseType(of: requestType)
            }
        var errorCode = problem.errorCode
        // `ConfigQueryResponse.CONFIG_NOT_FOUND`: clients take it for an item that does not exist.
        if requestType == "ConfigQueryRequest", case .notFound = problem { errorCode = 300 }
        var body: JSON = [
            "resultCode": 500, "errorCode": JSON(errorCode), "success": false,
            "message": .string(problem.description), "requestId": .string(requestID),
        ]
        if case .unknownRequest = problem { body["resultCode"] = JSON(problem.errorCode) }
        if type == "ServiceListResponse" {
            body["count"] = 0
            body["serviceNames"] = []
        }
        return Payload(type: type, body: body.bytes)
    }

    private static func responseType(of requestType: String) -> String {
        switch requestType {
        case "InstanceRequest", "PersistentInstanceRequest": "InstanceResponse"
        case "ServiceQueryRequest": "QueryServiceResponse"
        case "ConfigBatchListenRequest": "ConfigChangeBatchListenResponse"
        case let type where type.hasSuffix("Request"): String(type.dropLast("Request".count)) + "Response"
        default: "ErrorResponse"
        }
    }
}
