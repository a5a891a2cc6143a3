// Nacos' HTTP open API, version 1: instances with beats, lists, and the calls clients test a server with.

import Catalogue
import Formats

/// A question as it came, whoever carried it.
struct OpenAPIRequest: Sendable {
    var method: String
    /// Without the query: `/nacos/v1/ns/instance`.
    var path: String
    var parameters: FormParameters
    /// The caller's IP address.
    var peer: String
    var userAgent = ""
}

struct OpenAPIResponse: Sendable, Equatable {
    var status = 200
    var contentType = "application/json;charset=UTF-8"
    var body: String

    static func text(_ text: String, status: Int = 200) -> OpenAPIResponse {
        OpenAPIResponse(status: status, contentType: "text/plain;charset=UTF-8", body: text)
    }

    static func json(_ json: JSON) -> OpenAPIResponse { OpenAPIResponse(body: json.text) }
}

struct OpenAPI: Sendable {
    let catalogue: ServiceCatalogue

    /// `CommonParams.CODE` of a beat: taken, or unknown so that the client registers again.
    static let beatTaken = 10_200
    static let beatUnknown = 20_404
    static let tokenSeconds = 18_000

    func answer(_ request: OpenAPIRequest) async -> OpenAPIResponse {
        do throws(NacosProblem) {
            return try await perform(request)
        } catch {
            return .text("caused: \(error.description);", status: error.httpStatus)
        }
    }

    private func perform(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        let parameters = request.parameters
        switch (request.method, request.path) {
        case ("POST", "/nacos/v1/ns/instance"):
            try keep(try NacosInstance(parameters: parameters), try Self.service(parameters))
            return .text("ok")
        case ("PUT", "/nacos/v1/ns/instance"):
            try update(parameters)
            return .text("ok")
        case ("DELETE", "/nacos/v1/ns/instance"):
            try deregister(parameters)
            return .text("ok")
        case ("GET", "/nacos/v1/ns/instance"):
            return .json(try await detail(parameters))
        case ("GET", "/nacos/v1/ns/instance/list"):
            return .json(try await list(request))
        case ("PUT", "/nacos/v1/ns/instance/beat"):
            return .json(try beat(parameters))
        case ("GET", "/nacos/v1/ns/service/list"):
            return .json(try await services(parameters))
        case ("GET", "/nacos/v1/ns/service"):
            return .json(try await serviceDetail(parameters))
        case ("GET", "/nacos/v1/ns/operator/metrics"):
            return .json(metrics())
        case ("POST", "/nacos/v1/auth/login"), ("POST", "/nacos/v1/auth/users/login"):
            // No user is checked yet: whoever reaches this listener may use it (see README).
            return .json(["accessToken": "mangrove", "tokenTtl": JSON(Self.tokenSeconds), "globalAdmin": true])
        case ("GET", "/nacos/v1/console/health/liveness"), ("GET", "/nacos/v1/console/health/readiness"):
            return .text("OK")
        case (_, let path) where path.hasPrefix("/nacos/v1/cs/"):
            throw .notServed("configuration (\(path))")
        case (let method, let path):
            throw .notServed("\(method) \(path)")
        }
    }

    // MARK: Writers

    /// Changes what the parameters name and keeps the rest; an instance nobody knows is registered.
    private func update(_ parameters: FormParameters) throws(NacosProblem) {
        let service = try Self.service(parameters)
        var declared = try NacosInstance(parameters: parameters)
        let known = catalogue.snapshot(of: service).records.first {
            $0.origin == .nacos && $0.address == declared.ip && $0.port == declared.port
                && $0.cluster == declared.cluster
        }
        if let known {
            guard known.lifetime.isLease else { throw .notServed("changing an instance that a gRPC client holds") }
            if parameters["weight"] == nil { declared.weight = known.weight }
            if parameters["metadata"] == nil { declared.metadata = known.metadata }
            if (parameters.flag("enabled") ?? parameters.flag("enable")) == nil { declared.enabled = known.isEnabled }
            if parameters.flag("healthy") == nil { declared.healthy = known.isHealthy }
        }
        try keep(declared, service)
    }

    private func keep(_ declared: NacosInstance, _ service: ServiceName) throws(NacosProblem) {
        do throws(CatalogueProblem) {
            try catalogue.register(declared.instance(lifetime: .lease(declared.lease)), as: service)
        } catch {
            throw .full(error)
        }
    }

    private func deregister(_ parameters: FormParameters) throws(NacosProblem) {
        let service = try Self.service(parameters)
        let declared = try NacosInstance(parameters: parameters)
        catalogue.deregister(
            address: declared.ip, port: declared.port, cluster: declared.cluster, of: .nacos, from: service)
    }

    /// A beat renews; a full one also registers what is not known. Clients register again on 20404.
    private func beat(_ parameters: FormParameters) throws(NacosProblem) -> JSON {
        let service = try Self.service(parameters)
        var full: NacosInstance?
        if let text = parameters["beat"], !text.isEmpty {
            do throws(FormatProblem) {
                full = try Self.instance(beat: try JSON(parsing: text))
            } catch {
                throw .invalid("Param 'beat' is illegal: \(error.description)")
            }
        }
        let address = full?.ip ?? parameters["ip"] ?? ""
        let port = full?.port ?? parameters.number("port") ?? 0
        let cluster = full?.cluster ?? NacosNames.cluster(parameters["clusterName"])
        var code = Self.beatTaken
        if !catalogue.renew(address: address, port: port, cluster: cluster, of: .nacos, for: service) {
            if let full { try keep(full, service) } else { code = Self.beatUnknown }
        }
        let lease = full?.lease ?? Lease()
        return ["clientBeatInterval": JSON(lease.intervalMilliseconds), "code": JSON(code), "lightBeatEnabled": true]
    }

    private static func instance(beat json: JSON) throws(FormatProblem) -> NacosInstance {
        do throws(NacosProblem) {
            return try NacosInstance(json: json)
        } catch {
            throw FormatProblem(error.description)
        }
    }

    // MARK: Readers

    private func list(_ request: OpenAPIRequest) async throws(NacosProblem) -> JSON {
        let parameters = request.parameters
        let service = try Self.service(parameters)
        try await waitUntilComplete()
        let selection = ServiceSelection(
            clusters: Self.clusters(parameters), isHealthyOnly: parameters.flag("healthyOnly") ?? false)
        // What a caller says of itself tells the processes of one machine apart as well as HTTP allows.
        let caller = [
            "nacos-http", request.peer, parameters["clientIP"] ?? "", parameters["udpPort"] ?? "",
            parameters["app"] ?? "", request.userAgent,
        ]
        let subscriber = SubscriberID(caller.joined(separator: "/"))
        return ServiceInfo.polled(catalogue.poll(subscriber, service), selection)
    }

    private func detail(_ parameters: FormParameters) async throws(NacosProblem) -> JSON {
        let service = try Self.service(parameters)
        let wanted = try NacosInstance(parameters: parameters)
        try await waitUntilComplete()
        let isAnyCluster = (parameters["cluster"] ?? parameters["clusterName"]) == nil
        let found = catalogue.snapshot(of: service).instances.first {
            $0.address == wanted.ip && $0.port == wanted.port && (isAnyCluster || $0.cluster == wanted.cluster)
        }
        guard let found else { throw .notFound("no matched ip found!") }
        var json = found.nacosJSON(of: service)
        json["service"] = .string(NacosNames.grouped(service))
        return json
    }

    private func services(_ parameters: FormParameters) async throws(NacosProblem) -> JSON {
        try await waitUntilComplete()
        let page = ServicePage.names(
            catalogue, namespace: parameters["namespaceId"], group: parameters["groupName"],
            number: parameters.number("pageNo") ?? 1, size: parameters.number("pageSize") ?? ServicePage.largest)
        return ["count": JSON(page.count), "doms": .array(page.names.map { .string($0) })]
    }

    private func serviceDetail(_ parameters: FormParameters) async throws(NacosProblem) -> JSON {
        let service = try Self.service(parameters)
        try await waitUntilComplete()
        let snapshot = catalogue.snapshot(of: service)
        guard !snapshot.isEmpty else { throw .notFound("service \(NacosNames.grouped(service)) is not found!") }
        let clusters = Set(snapshot.instances.map(\.cluster)).sorted()
        return [
            "name": .string(service.name), "groupName": .string(service.group),
            "namespaceId": .string(
                service.namespace == ServiceName.defaultNamespace ? NacosNames.publicNamespace : service.namespace),
            "protectThreshold": .number(0), "metadata": [:], "selector": ["type": "none"],
            "clusters": .array(
                clusters.map { ["name": .string($0), "metadata": [:], "healthChecker": ["type": "NONE"]] }),
        ]
    }

    private func metrics() -> JSON {
        let services = catalogue.services()
        let instances = services.reduce(0) { $0 + catalogue.snapshot(of: $1).instances.count }
        return [
            "status": .string(catalogue.isComplete ? "UP" : "STARTING"), "serviceCount": JSON(services.count),
            "instanceCount": JSON(instances),
        ]
    }

    // MARK: Forms

    private func waitUntilComplete() async throws(NacosProblem) {
        guard await catalogue.isComplete(within: GRPCRequests.completenessPatience) else { throw .starting }
    }

    private static func service(_ parameters: FormParameters) throws(NacosProblem) -> ServiceName {
        try NacosNames.service(
            namespace: parameters["namespaceId"], group: parameters["groupName"], name: parameters["serviceName"])
    }

    private static func clusters(_ parameters: FormParameters) -> String {
        let text = parameters["clusters"] ?? ""
        return text == "None" ? "" : text
    }
}
