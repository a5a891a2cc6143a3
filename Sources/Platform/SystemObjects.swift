// The platform's own services, shown to pods and people as ordinary Kubernetes objects.

import Client
import Formats
import Objects

/// `kube-system/kube-dns`, and `nacos`, `eureka` and `zookeeper` of `mangrove-system`: fixed addresses that this
/// machine answers on itself.
struct SystemObjects: Sendable {
    static let namespace = "mangrove-system"

    let client: KubernetesClient
    let configuration: Configuration

    /// Creates what is missing, at the start and again when somebody deleted it. Existing objects are left as they are.
    func ensure() async throws {
        try await ensure(
            service: "kube-dns", in: "kube-system", address: configuration.dnsServiceAddress,
            ports: [("dns", "UDP", 53), ("dns-tcp", "TCP", 53)])
        if let nacos = configuration.nacos {
            try await ensure(.namespaces, Object(.namespaces, name: Self.namespace))
            try await ensure(
                service: "nacos", in: Self.namespace, address: configuration.nacosServiceAddress,
                ports: [("http", "TCP", nacos.port), ("grpc", "TCP", nacos.port + 1000)])
        }
        if let eureka = configuration.eureka {
            try await ensure(.namespaces, Object(.namespaces, name: Self.namespace))
            try await ensure(
                service: "eureka", in: Self.namespace, address: configuration.eurekaServiceAddress,
                ports: [("http", "TCP", eureka.port)])
        }
        if let zookeeper = configuration.zookeeper {
            try await ensure(.namespaces, Object(.namespaces, name: Self.namespace))
            try await ensure(
                service: "zookeeper", in: Self.namespace, address: configuration.zookeeperServiceAddress,
                ports: [("client", "TCP", zookeeper.port)])
        }
    }

    /// A Service without a selector and an EndpointSlice that points at the address itself, where the platform listens.
    private func ensure(
        service name: String, in namespace: String, address: String,
        ports: [(name: String, protocol: String, port: Int)]
    ) async throws {
        var service = Object(.services, namespace: namespace, name: name)
        service.spec = [
            "clusterIP": .string(address),
            "ports": .array(
                ports.map {
                    ["name": .string($0.name), "protocol": .string($0.protocol), "port": JSON($0.port)]
                }),
        ]
        // Not for registries: what finds the platform has found it already.
        service.annotations = ["mangrove.dev/hidden": "true"]
        try await ensure(.services, service)
        // Without endpoints the service's ports would be refused before they reach the platform.
        var slice = Object(.endpointSlices, namespace: namespace, name: name)
        slice.labels = [
            "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "mangrove.dev",
        ]
        slice["addressType"] = "IPv4"
        slice["endpoints"] = [["addresses": [.string(address)], "conditions": ["ready": true]]]
        slice["ports"] = service.spec["ports"]
        try await ensure(.endpointSlices, slice)
    }

    /// Looks first: creating a Service that exists fails at its address, which is taken, before it fails at its name.
    private func ensure(_ resource: Resource, _ object: Object) async throws {
        do {
            _ = try await client.get(resource, object.key)
        } catch let problem as Problem where problem.reason == .notFound {
            _ = try await client.create(resource, object)
        }
    }
}
