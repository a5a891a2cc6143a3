// Services and instances over the HTTP open API, version 1: plain texts and bare JSON, parameters wherever they are.

import Catalogue
import Formats

struct NamingCallsV1: Sendable {
    let operations: NamingOperations

    private var catalogue: ServiceCatalogue { operations.backend.catalogue }

    /// Beats, registrations that end without them, and lists.
    func answerAtOnce(_ request: OpenAPIRequest) throws(NacosProblem) -> OpenAPIResponse? {
        switch (request.method, request.path) {
        case ("PUT", "/nacos/v1/ns/instance/beat"):
            return .json(bytes: try beat(request))
        case ("POST", "/nacos/v1/ns/instance"):
            let declared = try NacosInstance(parameters: request.parameters)
            return try operations.registerLeased(declared, as: try request.service()) ? .text("ok") : nil
        case ("GET", "/nacos/v1/ns/instance/list"):
            let service = try request.service()
            return operations.canListAtOnce(service) ? .json(bytes: list(service, request)) : nil
        default: return nil
        }
    }

    func answer(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse? {
        switch (request.method, request.path) {
        case ("POST", "/nacos/v1/ns/instance"):
            let declared = try NacosInstance(parameters: request.parameters)
            try await operations.register(declared, as: try request.service())
            return .text("ok")
        case ("PUT", "/nacos/v1/ns/instance"), ("PATCH", "/nacos/v1/ns/instance"):
            let declared = try NacosInstance(parameters: request.parameters)
            try await operations.update(declared.place, try request.instanceChange(), of: try request.service())
            return .text("ok")
        case ("DELETE", "/nacos/v1/ns/instance"):
            let declared = try NacosInstance(parameters: request.parameters)
            try await operations.deregister(
                declared.place, isPersistent: request.parameters.flag("ephemeral").map { !$0 },
                from: try request.service())
            return .text("ok")
        case ("GET", "/nacos/v1/ns/instance"):
            return .json(try await detail(request))
        case ("GET", "/nacos/v1/ns/instance/list"):
            let service = try request.service()
            try await operations.backend.waitForServices()
            return .json(bytes: list(service, request))
        case ("PUT", "/nacos/v1/ns/health/instance"), ("PUT", "/nacos/v1/ns/health"):
            guard let isHealthy = request.parameters.flag("healthy") ?? request.parameters.flag("valid") else {
                throw .missing(parameter: "healthy")
            }
            try await operations.setHealth(try request.place(), isHealthy, of: try request.service())
            return .text("ok")
        case (_, "/nacos/v1/ns/service"), (_, "/nacos/v1/ns/service/list"):
            return try await service(request)
        default: return nil
        }
    }

    // MARK: Instances

    /// A beat with all of the instance in `beat`, or a light one with only its place.
    private func beat(_ request: OpenAPIRequest) throws(NacosProblem) -> [UInt8] {
        let service = try request.service()
        var full: NacosInstance?
        if let text = request.parameter("beat") {
            let json: JSON
            do throws(FormatProblem) {
                json = try JSON(parsing: text)
            } catch {
                throw .invalid("Param 'beat' is illegal: \(error.description)")
            }
            full = try NacosInstance(json: json)
        }
        let place = if let full { full.place } else { try request.place() }
        let isTaken = try operations.beat(place, full: full, of: service)
        let interval = (full?.lease ?? Lease()).intervalMilliseconds
        let code = isTaken ? NamingOperations.beatTaken : NamingOperations.beatUnknown
        return Array("{\"clientBeatInterval\":\(interval),\"code\":\(code),\"lightBeatEnabled\":true}".utf8)
    }

    private func list(_ service: ServiceName, _ request: OpenAPIRequest) -> [UInt8] {
        let selection = ServiceSelection(
            clusters: request.clusters, isHealthyOnly: request.parameters.flag("healthyOnly") ?? false)
        if let follower = request.follower(of: service, selection),
            let snapshot = operations.backend.datagrams.follow(follower)
        {
            return operations.info(
                snapshot, selection, .polled(cacheMilliseconds: ServiceInfo.pushedCacheMilliseconds))
        }
        let snapshot = catalogue.poll(request.subscriber, service)
        return operations.info(
            snapshot, selection, .polled(cacheMilliseconds: ServiceInfo.polledCacheMilliseconds))
    }

    private func detail(_ request: OpenAPIRequest) async throws(NacosProblem) -> JSON {
        let service = try request.service()
        let place = try request.place()
        try await operations.backend.waitForServices()
        let cluster = request.parameter("cluster", "clusterName") == nil ? nil : place.cluster
        var json = try operations.instance(place.ip, place.port, cluster: cluster, of: service).nacosJSON(of: service)
        json["service"] = .string(NacosNames.grouped(service))
        return json
    }

    // MARK: Services

    private func service(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse? {
        switch (request.method, request.path.hasSuffix("/list")) {
        case ("GET", true):
            try await operations.backend.waitForServices()
            let names = operations.names(namespace: request.namespace, group: request.parameters["groupName"])
            let page = Page.of(names, number: request.pageNumber, size: request.pageSize)
            return .json(["count": JSON(names.count), "doms": .array(page.map { .string($0) })])
        case ("GET", false):
            try await operations.backend.waitForServices()
            let service = try request.service()
            guard operations.exists(service) else {
                throw .noSuchService("service not found: \(NacosNames.grouped(service))")
            }
            return .json(operations.detail(of: service))
        case ("POST", false):
            try await operations.create(
                try request.service(), protectionThreshold: try request.protectionThreshold() ?? 0,
                metadata: try request.metadata() ?? [:])
            return .text("ok")
        case ("PUT", false):
            try await operations.update(
                try request.service(), protectionThreshold: try request.protectionThreshold(),
                metadata: try request.metadata())
            return .text("ok")
        case ("DELETE", false):
            try await operations.remove(try request.service())
            return .text("ok")
        default: return nil
        }
    }
}

// MARK: - What requests of every version say

extension OpenAPIRequest {
    func service() throws(NacosProblem) -> ServiceName {
        try NacosNames.service(namespace: namespace, group: parameters["groupName"], name: parameters["serviceName"])
    }

    func place() throws(NacosProblem) -> InstancePlace {
        let portText = try required("port")
        guard let port = Int(portText), (0...65_535).contains(port) else {
            throw .invalid("Param 'port' is illegal, it should be 0 to 65535.")
        }
        return InstancePlace(
            ip: try required("ip"), port: port, cluster: NacosNames.cluster(parameter("clusterName", "cluster")))
    }

    /// What a caller says of itself tells the processes of one machine apart as well as HTTP allows.
    var subscriber: SubscriberID {
        let caller = [
            "nacos-http", peer, parameters["clientIP"] ?? "", parameters["udpPort"] ?? "", parameters["app"] ?? "",
            userAgent,
        ]
        return SubscriberID(caller.joined(separator: "/"))
    }

    /// Who asks, where it takes datagrams. They go to the address that asks and to no other, whatever it says.
    func follower(of service: ServiceName, _ selection: ServiceSelection) -> DatagramMachine.Follower? {
        guard let port = parameters.number("udpPort"), (1...65_535).contains(port),
            PushableAgents.canPush(to: userAgent)
        else { return nil }
        return DatagramMachine.Follower(
            client: DatagramClient(address: peer, port: port, listener: listener), service: service,
            subscriber: subscriber, selection: selection)
    }

    var clusters: String {
        let text = parameter("clusters", "clusterName") ?? ""
        return text == "None" ? "" : text
    }

    func instanceChange() throws(NacosProblem) -> InstanceChange {
        let declared = try NacosInstance(parameters: parameters)
        return InstanceChange(
            weight: parameter("weight") == nil ? nil : declared.weight,
            enabled: parameters.flag("enabled") ?? parameters.flag("enable"),
            healthy: parameters.flag("healthy"), metadata: parameter("metadata") == nil ? nil : declared.metadata)
    }

    func protectionThreshold() throws(NacosProblem) -> Double? {
        guard let text = parameter("protectThreshold") else { return nil }
        guard let number = Double(text), (0...1).contains(number) else {
            throw .invalid("Param 'protectThreshold' is illegal, it should be 0 to 1.")
        }
        return number
    }

    func metadata() throws(NacosProblem) -> [String: String]? {
        guard let text = parameter("metadata") else { return nil }
        return try NacosInstance.metadata(parsing: text)
    }
}

extension NamingOperations {
    /// The names of a namespace's services in one group, sorted.
    func names(namespace: String?, group: String?) -> [String] {
        let wanted = group.flatMap { $0.isEmpty ? nil : $0 } ?? ServiceName.defaultGroup
        return services(namespace: NacosNames.catalogueNamespace(namespace)).filter { $0.group == wanted }.map(\.name)
    }

    func detail(of service: ServiceName) -> JSON {
        let clusters = Set(backend.catalogue.snapshot(of: service).instances.map(\.cluster)).sorted()
        let record = backend.services.record(of: service)
        return [
            "name": .string(service.name), "groupName": .string(service.group),
            "namespaceId": .string(NacosNames.nacosNamespace(service.namespace)),
            "protectThreshold": .number(record.protectionThreshold), "metadata": JSON(stringMap: record.metadata),
            "selector": ["type": "none"],
            "clusters": .array(
                clusters.map { ["name": .string($0), "metadata": [:], "healthChecker": ["type": "NONE"]] }),
        ]
    }
}
