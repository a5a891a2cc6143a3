// Services and instances over the HTTP open API, versions 2 and 3.

import Catalogue
import Formats

struct NamingCalls: Sendable {
    let operations: NamingOperations

    private var catalogue: ServiceCatalogue { operations.backend.catalogue }

    /// Beats, and registrations that end without them; of version 2 and of version 3's clients.
    func answerAtOnce(_ request: OpenAPIRequest, rest: String) throws(NacosProblem) -> OpenAPIResponse? {
        guard (request.method, rest) == ("POST", "instance") else { return nil }
        let service = try request.service()
        guard request.path.hasPrefix("/nacos/v3/"), request.parameters.flag("heartBeat") == true else {
            let declared = try NacosInstance(parameters: request.parameters)
            return try operations.registerLeased(declared, as: service) ? .result("ok") : nil
        }
        guard try operations.beat(try request.place(), full: nil, of: service) else {
            // Not a failure of the call: the client registers when it reads this code.
            let detail = NacosProblem.noSuchInstance("").detail
            return .json(["code": JSON(detail.code), "message": .string(detail.message), "data": .null])
        }
        return .result("ok")
    }

    /// Version 3's calls for clients that have no gRPC.
    func answerClient(_ request: OpenAPIRequest, rest: String) async throws(NacosProblem) -> OpenAPIResponse? {
        switch (request.method, rest) {
        case ("POST", "instance"): return try await register(request)
        case ("DELETE", "instance"): return try await deregister(request)
        case ("GET", "instance/list"): return try await instances(request)
        default: return nil
        }
    }

    /// Version 2's calls, and those of version 3 for operators and consoles.
    func answer(_ request: OpenAPIRequest, rest: String) async throws(NacosProblem) -> OpenAPIResponse? {
        switch (request.method, rest) {
        case ("POST", "instance"): return try await register(request)
        case ("DELETE", "instance"): return try await deregister(request)
        case ("PUT", "instance"), ("PATCH", "instance"), ("PUT", "instance/partial"):
            let place = try request.place()
            try await operations.update(place, try request.instanceChange(), of: try request.service())
            return .result("ok")
        case ("GET", "instance"):
            try await operations.backend.waitForServices()
            let service = try request.service()
            let place = try request.place()
            let cluster = request.parameter("clusterName", "cluster") == nil ? nil : place.cluster
            let found = try operations.instance(place.ip, place.port, cluster: cluster, of: service)
            return .result(found.nacosJSON(of: service))
        case ("GET", "instance/list"):
            return request.path.hasPrefix("/nacos/v2/") ? try await info(request) : try await instances(request)
        case ("PUT", "health/instance"), ("PUT", "health"):
            guard let isHealthy = request.parameters.flag("healthy") else { throw .missing(parameter: "healthy") }
            try await operations.setHealth(try request.place(), isHealthy, of: try request.service())
            return .result("ok")
        case ("GET", "operator/metrics"), ("GET", "ops/metrics"):
            return .result(operations.metrics())
        case ("GET", "operator/switches"), ("GET", "ops/switches"):
            return .result(CatalogCalls.switches)
        case ("GET", "service/selector/types"): return .result(["none"])
        case ("GET", let path) where path.hasPrefix("client"):
            return try ClientCalls(operations: operations).answer(request, rest: path)
        default: return try await service(request, rest: rest)
        }
    }

    private func service(_ request: OpenAPIRequest, rest: String) async throws(NacosProblem) -> OpenAPIResponse? {
        switch (request.method, rest) {
        case ("POST", "service"):
            try await operations.create(
                try request.service(), protectionThreshold: try request.protectionThreshold() ?? 0,
                metadata: try request.metadata() ?? [:])
        case ("PUT", "service"):
            try await operations.update(
                try request.service(), protectionThreshold: try request.protectionThreshold(),
                metadata: try request.metadata())
        case ("DELETE", "service"): try await operations.remove(try request.service())
        case ("GET", "service"):
            try await operations.backend.waitForServices()
            let service = try request.service()
            guard operations.exists(service) else {
                throw .noSuchService("service not found: \(NacosNames.grouped(service))")
            }
            var detail = operations.detail(of: service)
            detail["serviceName"] = .string(service.name)
            detail["clusterMap"] = operations.clusterMap(of: service)
            return .result(detail)
        case ("GET", "service/list"): return try await services(request)
        case ("GET", "service/subscribers"):
            let all = operations.subscribers(of: try request.service())
            let shown = Page.of(all, number: request.pageNumber, size: request.pageSize)
            return .result(.page(shown, total: all.count, request))
        default: return nil
        }
        return .result("ok")
    }

    /// Version 2 lists names; version 3 lists what a console shows of each.
    private func services(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        try await operations.backend.waitForServices()
        if request.path.hasPrefix("/nacos/v2/") {
            let names = operations.names(namespace: request.namespace, group: request.parameters["groupName"])
            let page = Page.of(names, number: request.pageNumber, size: request.pageSize)
            return .result(["count": JSON(names.count), "services": .array(page.map { .string($0) })])
        }
        let all = operations.matching(request)
        let page = Page.of(all, number: request.pageNumber, size: request.pageSize)
        let withInstances = request.parameters.flag("withInstances") ?? false
        let shown = page.map { service -> JSON in
            guard withInstances else { return operations.view(of: service) }
            var detail = operations.detail(of: service)
            detail["serviceName"] = .string(service.name)
            detail["clusterMap"] = operations.clusterMap(of: service)
            return detail
        }
        return .result(.page(shown, total: all.count, request))
    }

    // MARK: Instances

    private func register(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        try await operations.register(try NacosInstance(parameters: request.parameters), as: try request.service())
        return .result("ok")
    }

    private func deregister(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        try await operations.deregister(
            try request.place(), isPersistent: request.parameters.flag("ephemeral").map { !$0 },
            from: try request.service())
        return .result("ok")
    }

    /// The whole ServiceInfo.
    private func info(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        let service = try request.service()
        try await operations.backend.waitForServices()
        let selection = ServiceSelection(
            clusters: request.clusters, isHealthyOnly: request.parameters.flag("healthyOnly") ?? false)
        let form = ServiceInfoForm.polled(cacheMilliseconds: ServiceInfo.polledCacheMilliseconds)
        return .result(bytes: operations.info(catalogue.poll(request.subscriber, service), selection, form))
    }

    /// The instances alone.
    private func instances(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        let service = try request.service()
        try await operations.backend.waitForServices()
        let selection = ServiceSelection(
            clusters: request.clusters, isHealthyOnly: request.parameters.flag("healthyOnly") ?? false)
        let snapshot = catalogue.poll(request.subscriber, service)
        let threshold = operations.backend.services.record(of: service).protectionThreshold
        let (shown, _) = selection.instances(of: snapshot, protectionThreshold: threshold)
        var bytes: [UInt8] = []
        ServiceInfo.append(shown, of: service, to: &bytes)
        return .result(bytes: bytes)
    }
}

extension JSON {
    /// A page as version 3 shows it.
    static func page(_ items: [JSON], total: Int, _ request: OpenAPIRequest) -> JSON {
        [
            "totalCount": JSON(total), "pageNumber": JSON(max(request.pageNumber, 1)),
            "pagesAvailable": JSON(Page.count(total, size: request.pageSize)), "pageItems": .array(items),
        ]
    }
}
