// The unary requests of Nacos' gRPC: each is read, done on the catalogue and answered with its own response type.

import Catalogue
import Formats

struct GRPCRequests: Sendable {
    let catalogue: ServiceCatalogue
    let connections: ConnectionTable

    /// How long a reader waits for the catalogue's first full picture before it is asked to try again.
    static let completenessPatience: Duration = .milliseconds(2_500)

    /// Answers a request that came over the TCP connection from this peer.
    func answer(_ payload: Payload, peer: String) async -> Payload {
        var requestID = ""
        do throws(NacosProblem) {
            let body = try Self.body(of: payload)
            requestID = body["requestId"]?.string ?? ""
            if payload.type == "ServerCheckRequest" {
                return Self.response(
                    "ServerCheckResponse", requestID,
                    ["connectionId": .string(ConnectionName.make(peer: peer)), "supportAbilityNegotiation": false])
            }
            guard let connection = connections.connection(from: peer) else { throw .unregistered }
            let (type, fields) = try await perform(payload.type, body, connection)
            return Self.response(type, requestID, fields)
        } catch {
            return Self.refusal(error, of: payload.type, requestID)
        }
    }

    private func perform(
        _ type: String, _ body: JSON, _ connection: Connection
    ) async throws(NacosProblem) -> (type: String, fields: JSON) {
        switch type {
        case "HealthCheckRequest":
            return ("HealthCheckResponse", [:])
        case "InstanceRequest":
            return ("InstanceResponse", ["type": .string(try declareOne(body, connection))])
        case "BatchInstanceRequest":
            return ("BatchInstanceResponse", ["type": .string(try declareAll(body, connection))])
        case "SubscribeServiceRequest":
            return ("SubscribeServiceResponse", ["serviceInfo": try await subscribe(body, connection)])
        case "ServiceQueryRequest":
            return ("QueryServiceResponse", ["serviceInfo": try await query(body)])
        case "ServiceListRequest":
            try await waitUntilComplete()
            let page = ServicePage.names(
                catalogue, namespace: body["namespace"]?.string, group: body["groupName"]?.string,
                number: body["pageNo"]?.integer ?? 1, size: body["pageSize"]?.integer ?? ServicePage.largest)
            return (
                "ServiceListResponse",
                ["count": JSON(page.count), "serviceNames": .array(page.names.map { .string($0) })]
            )
        case "PersistentInstanceRequest":
            throw .notServed("a persistent instance (ephemeral=false)")
        case let type where type.hasPrefix("Config") || type.hasPrefix("ClientConfig"):
            throw .notServed("configuration")
        default:
            throw .unknownRequest(type)
        }
    }

    // MARK: Naming

    /// A connection holds one instance of a service: a second one takes the first one's place, as in Nacos.
    private func declareOne(_ body: JSON, _ connection: Connection) throws(NacosProblem) -> String {
        let service = try Self.service(in: body)
        let type = body["type"]?.string ?? ""
        switch type {
        case "registerInstance":
            let instance = try NacosInstance(json: body["instance"] ?? [:])
            try hold([instance], of: service, connection)
        case "deregisterInstance":
            catalogue.deregister(heldBy: connection.id, from: service)
        default:
            throw .invalid("Unsupported request type \(type)")
        }
        return type
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

    private func hold(
        _ instances: [NacosInstance], of service: ServiceName, _ connection: Connection
    ) throws(NacosProblem) {
        do throws(CatalogueProblem) {
            try catalogue.replace(
                instances.map { $0.instance(lifetime: .connection(connection.id)) }, heldBy: connection.id, as: service)
        } catch {
            throw .full(error)
        }
        // The connection may have ended meanwhile; then nobody else would take these back.
        if connections.connection(of: connection.subscriber) == nil {
            catalogue.connectionClosed(connection.id, subscriber: connection.subscriber)
        }
    }

    private func subscribe(_ body: JSON, _ connection: Connection) async throws(NacosProblem) -> JSON {
        let service = try Self.service(in: body)
        guard body["subscribe"]?.bool ?? true else {
            catalogue.unsubscribe(connection.subscriber, from: service)
            connection.forget(service)
            return ServiceInfo.connected(catalogue.snapshot(of: service), ServiceSelection())
        }
        try await waitUntilComplete()
        let selection = ServiceSelection(clusters: body["clusters"]?.string ?? "")
        connection.select(selection, of: service)
        do throws(CatalogueProblem) {
            let snapshot = try catalogue.subscribe(connection.subscriber, to: service)
            if connections.connection(of: connection.subscriber) == nil { catalogue.unsubscribe(connection.subscriber) }
            return ServiceInfo.connected(snapshot, selection)
        } catch {
            throw .full(error)
        }
    }

    private func query(_ body: JSON) async throws(NacosProblem) -> JSON {
        let service = try Self.service(in: body)
        try await waitUntilComplete()
        // Java says healthyOnly, nacos-sdk-python says healthOnly.
        let isHealthyOnly = body["healthyOnly"]?.bool ?? body["healthOnly"]?.bool ?? false
        let selection = ServiceSelection(clusters: body["cluster"]?.string ?? "", isHealthyOnly: isHealthyOnly)
        return ServiceInfo.connected(catalogue.snapshot(of: service), selection)
    }

    private func waitUntilComplete() async throws(NacosProblem) {
        guard await catalogue.isComplete(within: Self.completenessPatience) else { throw .starting }
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

    private static func service(in body: JSON) throws(NacosProblem) -> ServiceName {
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
        var body: JSON = [
            "resultCode": 500, "errorCode": JSON(problem.errorCode), "success": false,
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

/// Names for connections, made as Nacos makes them.
enum ConnectionName {
    /// `<milliseconds>_<ip>_<port>` from grpc-swift's `ipv4:127.0.0.1:51234`.
    static func make(peer: String) -> String {
        let address = peer.split(separator: ":", maxSplits: 1).last.map(String.init) ?? peer
        let name = String(address.map { $0 == ":" ? "_" : $0 })
        return "\(WallClock.milliseconds())_\(name)"
    }
}
