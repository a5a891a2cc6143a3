// What consoles and operators ask about services: lists with counts, subscribers, metrics.

import Catalogue
import Formats

struct CatalogCalls: Sendable {
    let operations: NamingOperations

    func answer(_ request: OpenAPIRequest, rest: String) async throws(NacosProblem) -> OpenAPIResponse? {
        guard request.method == "GET" else { return nil }
        switch rest {
        case "operator/metrics":
            return .json(operations.metrics())
        case "operator/switches": return .json(Self.switches)
        case "service/subscribers":
            let all = operations.subscribers(of: try request.service())
            let shown = Page.of(all, number: request.pageNumber, size: request.pageSize)
            return .json(["count": JSON(all.count), "subscribers": .array(shown)])
        case "catalog/services": return try await services(request)
        case "catalog/service":
            try await operations.backend.waitForServices()
            let service = try request.service()
            guard operations.exists(service) else {
                throw .noSuchService("service not found: \(NacosNames.grouped(service))")
            }
            let detail = operations.detail(of: service)
            return .json(["service": detail, "clusters": detail["clusters"] ?? []])
        case "catalog/instances":
            try await operations.backend.waitForServices()
            let service = try request.service()
            let cluster = request.parameter("clusterName", "cluster")
            let all = operations.backend.catalogue.snapshot(of: service).instances.filter {
                cluster == nil || $0.cluster == cluster
            }
            let shown = Page.of(all, number: request.pageNumber, size: request.pageSize)
            return .json(["count": JSON(all.count), "list": .array(shown.map { $0.nacosJSON(of: service) })])
        default: return nil
        }
    }

    private func services(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        try await operations.backend.waitForServices()
        let all = operations.matching(request)
        let shown = Page.of(all, number: request.pageNumber, size: request.pageSize)
        if request.parameters.flag("withInstances") ?? true {
            return .json(
                .array(
                    shown.map { service in
                        [
                            "serviceName": .string(service.name), "groupName": .string(service.group),
                            "clusterMap": operations.clusterMap(of: service),
                            "metadata": JSON(stringMap: operations.backend.services.record(of: service).metadata),
                        ]
                    }))
        }
        return .json(["count": JSON(all.count), "serviceList": .array(shown.map(operations.view))])
    }

    /// What of Nacos' switches means anything here; none can be changed.
    static let switches: JSON = [
        "pushEnabled": true, "distroEnabled": false, "healthCheckEnabled": false, "lightBeatEnabled": true,
        "defaultInstanceEphemeral": true, "doubleWriteEnabled": false,
        "defaultPushCacheMillis": JSON(ServiceInfo.pushedCacheMilliseconds),
        "defaultCacheMillis": JSON(ServiceInfo.polledCacheMilliseconds),
        "clientBeatInterval": JSON(Lease().intervalMilliseconds),
    ]
}

/// What version 2 and 3 say of the clients that are connected.
struct ClientCalls: Sendable {
    let operations: NamingOperations

    func answer(_ request: OpenAPIRequest, rest: String) throws(NacosProblem) -> OpenAPIResponse? {
        let connections = operations.backend.connections.all
        if rest == "client/list" { return .result(.array(connections.map(\.id).sorted().map { .string($0) })) }
        if rest == "client/service/subscriber/list" {
            return .result(.array(operations.subscribers(of: try request.service())))
        }
        guard ["client", "client/publish/list", "client/subscribe/list"].contains(rest) else { return nil }
        let id = try request.required("clientId")
        guard let client = connections.first(where: { $0.id == id }) else {
            throw .notFound("clientId [ \(id) ] not exist")
        }
        switch rest {
        case "client":
            return .result([
                "clientId": .string(id), "ephemeral": true, "clientType": "connection",
                "clientIp": .string(client.address), "version": .string(client.version),
            ])
        case "client/publish/list":
            let held = operations.backend.catalogue.services().flatMap { service -> [JSON] in
                let records = operations.backend.catalogue.snapshot(of: service).records
                return records.filter { $0.lifetime == .connection(id) && !$0.isImplied }.map { instance in
                    [
                        "namespace": .string(NacosNames.nacosNamespace(service.namespace)),
                        "group": .string(service.group), "serviceName": .string(service.name),
                        "registeredInstance": [
                            "ip": .string(instance.address), "port": JSON(instance.port),
                            "cluster": .string(instance.cluster),
                        ],
                    ]
                }
            }
            return .result(.array(held))
        default:
            return .result(
                .array(
                    client.selectedServices.sorted().map { service in
                        [
                            "namespace": .string(NacosNames.nacosNamespace(service.namespace)),
                            "group": .string(service.group), "serviceName": .string(service.name),
                            "subscriberInfo": [
                                "addr": .string(client.address), "agent": .string(client.version), "app": "",
                            ],
                        ]
                    }))
        }
    }
}

extension NamingOperations {
    /// The services of a namespace whose name and group contain what a console's search says.
    func matching(_ request: OpenAPIRequest) -> [ServiceName] {
        let name = request.parameter("serviceNameParam", "serviceName") ?? ""
        let group = request.parameter("groupNameParam", "groupName") ?? ""
        let withoutEmpty =
            request.parameters.flag("hasIpCount") ?? request.parameters.flag("ignoreEmptyService") ?? false
        return services(namespace: NacosNames.catalogueNamespace(request.namespace)).filter { service in
            (name.isEmpty || service.name.contains(name)) && (group.isEmpty || service.group.contains(group))
                && (!withoutEmpty || !backend.catalogue.snapshot(of: service).isEmpty)
        }
    }

    func view(of service: ServiceName) -> JSON {
        let instances = backend.catalogue.snapshot(of: service).instances
        return [
            "name": .string(service.name), "groupName": .string(service.group),
            "clusterCount": JSON(Set(instances.map(\.cluster)).count), "ipCount": JSON(instances.count),
            "healthyInstanceCount": JSON(instances.lazy.filter(\.isHealthy).count), "triggerFlag": "false",
        ]
    }

    func clusterMap(of service: ServiceName) -> JSON {
        let clusters = Dictionary(grouping: backend.catalogue.snapshot(of: service).instances, by: \.cluster)
        return .object(
            JSONObject(
                clusters.keys.sorted().map { name in
                    let hosts = (clusters[name] ?? []).map { $0.nacosJSON(of: service) }
                    return (name, ["clusterName": .string(name), "metadata": [:], "hosts": .array(hosts)])
                }))
    }

    func subscribers(of service: ServiceName) -> [JSON] {
        backend.catalogue.subscribers(of: service).map(\.text).sorted().map { id in
            let connection = backend.connections.connection(of: SubscriberID(id))
            return [
                "addrStr": .string(connection?.address ?? id), "ip": .string(connection?.address ?? ""), "port": 0,
                "agent": .string(connection?.version ?? ""), "app": "unknown",
                "namespaceId": .string(NacosNames.nacosNamespace(service.namespace)),
                "serviceName": .string(NacosNames.grouped(service)), "cluster": "",
            ]
        }
    }

    func metrics() -> JSON {
        let services = backend.catalogue.services()
        let instances = services.reduce(0) { $0 + backend.catalogue.snapshot(of: $1).instances.count }
        return [
            "status": .string(backend.catalogue.isComplete ? "UP" : "STARTING"), "serviceCount": JSON(services.count),
            "instanceCount": JSON(instances), "clientCount": JSON(backend.connections.count),
            "connectionBasedClientCount": JSON(backend.connections.count),
        ]
    }
}
