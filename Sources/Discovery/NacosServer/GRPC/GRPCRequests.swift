// The unary requests of Nacos' gRPC: each is read, done and answered with its own response type.

import Catalogue
import Formats

struct GRPCRequests: Sendable {
    let backend: Backend

    private var catalogue: ServiceCatalogue { backend.catalogue }
    private var operations: NamingOperations { NamingOperations(backend: backend) }

    typealias Answer = (type: String, fields: JSON)

    /// Answers a request that came over the TCP connection from this peer.
    func answer(_ payload: Payload, peer: String) async -> Payload {
        var requestID = ""
        do throws(NacosProblem) {
            let body = try Self.body(of: payload)
            requestID = body["requestId"]?.string ?? ""
            if payload.type == "ServerCheckRequest" {
                return Self.response(
                    "ServerCheckResponse", requestID,
                    ["connectionId": .string(ConnectionName.make(peer: peer)), "supportAbilityNegotiation": true])
            }
            guard let connection = backend.connections.connection(from: peer) else { throw .unregistered }
            connection.heard(now: .now)
            try backend.accounts?.check(payload, body)
            if payload.type == "SubscribeServiceRequest" || payload.type == "ServiceQueryRequest" {
                return try await info(payload.type, body, connection, requestID)
            }
            let (type, fields) = try await perform(payload.type, body, connection)
            return Self.response(type, requestID, fields)
        } catch {
            return Self.refusal(error, of: payload.type, requestID)
        }
    }

    private func perform(
        _ type: String, _ body: JSON, _ connection: Connection
    ) async throws(NacosProblem) -> Answer {
        switch type {
        case "HealthCheckRequest":
            return ("HealthCheckResponse", [:])
        case "InstanceRequest":
            return ("InstanceResponse", ["type": .string(try await declareOne(body, connection))])
        case "BatchInstanceRequest":
            return ("BatchInstanceResponse", ["type": .string(try declareAll(body, connection))])
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

    /// A connection holds one instance of a service: a second one takes the first one's place, as in Nacos.
    private func declareOne(_ body: JSON, _ connection: Connection) async throws(NacosProblem) -> String {
        let service = try Self.service(in: body)
        let type = body["type"]?.string ?? ""
        switch type {
        case "registerInstance":
            let instance = try NacosInstance(json: body["instance"] ?? [:])
            try hold([instance], of: service, connection)
        case "deregisterInstance":
            let held = catalogue.snapshot(of: service).records.filter { $0.lifetime == .connection(connection.id) }
            catalogue.deregister(heldBy: connection.id, from: service)
            try await forgetOverrides(held.map(\.place), of: service)
        default:
            throw .invalid("Unsupported request type \(type)")
        }
        return type
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

    /// The two requests that are answered with a whole ServiceInfo, which is not read back from its bytes.
    private func info(
        _ type: String, _ body: JSON, _ connection: Connection, _ requestID: String
    ) async throws(NacosProblem) -> Payload {
        let isSubscription = type == "SubscribeServiceRequest"
        let info = isSubscription ? try await subscribe(body, connection) : try await query(body)
        let responseType = isSubscription ? "SubscribeServiceResponse" : "QueryServiceResponse"
        var answer = Self.response(responseType, requestID, [:])
        answer.body.removeLast()
        answer.body.append(contentsOf: #","serviceInfo":"#.utf8)
        answer.body.append(contentsOf: info)
        answer.body.append(UInt8(ascii: "}"))
        return answer
    }

    private func subscribe(_ body: JSON, _ connection: Connection) async throws(NacosProblem) -> [UInt8] {
        let service = try Self.service(in: body)
        guard body["subscribe"]?.bool ?? true else {
            catalogue.unsubscribe(connection.subscriber, from: service)
            backend.connections.unsubscribe(connection, from: service)
            connection.forget(service)
            return operations.info(catalogue.snapshot(of: service), ServiceSelection(), .connected)
        }
        try await backend.waitForServices()
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

    private func query(_ body: JSON) async throws(NacosProblem) -> [UInt8] {
        let service = try Self.service(in: body)
        try await backend.waitForServices()
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
