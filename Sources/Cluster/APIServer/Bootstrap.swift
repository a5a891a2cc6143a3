// What every cluster begins with: its namespaces and the Service under which pods find the API.

import Formats
import Objects

extension KubernetesAPI {
    /// The namespaces that always are.
    package static let firstNamespaces = ["default", "kube-node-lease", "kube-public", "kube-system"]

    /// `makeFirstObjects`, then `publish`.
    package func bootstrap(endpointAddress: String, port: Int) async throws {
        try await makeFirstObjects()
        try await publish(endpointAddress: endpointAddress, port: port)
    }

    /// Creates what is missing of the first objects that are the same everywhere. To be called once at start, before
    /// anything else writes.
    package func makeFirstObjects() async throws {
        try await ensureFirstNamespaces()
        try await bootstrapRoles()
        try await ensureSystemPriorityClasses()
    }

    /// Makes the endpoints of the `kubernetes` Service say where the API listens; `/readyz` fails until it has
    /// returned. To be called once at start, after the first objects were made.
    package func publish(endpointAddress: String, port: Int) async throws {
        try await ensureOwnService(endpointAddress: endpointAddress, port: port)
        // Definitions that were to go when the program ended go now.
        try await settleDefinitions()
        bootstrapped.open()
    }

    /// Makes what somebody deleted or changed of the first namespaces and the `kubernetes` Service as it was, now and
    /// whenever it is called again (upstream: the controllers systemnamespaces and kubernetesservice of
    /// `pkg/controlplane`).
    package func restoreFirstObjects(endpointAddress: String, port: Int) async throws {
        try await bootstrapped.wait()
        try await ensureFirstNamespaces()
        try await ensureOwnService(endpointAddress: endpointAddress, port: port)
    }

    private func ensureFirstNamespaces() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for name in Self.firstNamespaces {
                group.addTask { try await self.ensure(Object(.namespaces, name: name), of: .namespaces) }
            }
            try await group.waitForAll()
        }
    }

    private func ensureOwnService(endpointAddress: String, port: Int) async throws {
        var service = Object(.services, namespace: "default", name: "kubernetes")
        service.labels = ["component": "apiserver", "provider": "kubernetes"]
        service.spec = [
            "type": "ClusterIP", "clusterIP": .string(ServiceAddressMachine.apiServer),
            "ports": [["name": "https", "port": 443, "protocol": "TCP", "targetPort": JSON(port)]],
        ]
        try await ensure(service, of: .services)
        try await ensureEndpoints(address: endpointAddress, port: port)
    }

    private func ensureEndpoints(address: String, port: Int) async throws {
        let ports: JSON = [["name": "https", "port": JSON(port), "protocol": "TCP"]]
        var slice = Object(.endpointSlices, namespace: "default", name: "kubernetes")
        slice.labels = ["kubernetes.io/service-name": "kubernetes"]
        slice["addressType"] = "IPv4"
        slice["endpoints"] = [["addresses": [.string(address)], "conditions": ["ready": true]]]
        slice["ports"] = ports
        try await ensure(slice, with: ["endpoints", "ports"], of: .endpointSlices)
        var endpoints = Object(.endpoints, namespace: "default", name: "kubernetes")
        endpoints.labels = ["endpointslice.kubernetes.io/skip-mirror": "true"]
        endpoints["subsets"] = [["addresses": [["ip": .string(address)]], "ports": ports]]
        try await ensure(endpoints, with: ["subsets"], of: .endpoints)
    }

    /// Creates an object, or gives the stored one these members.
    private func ensure(_ object: Object, with members: [String], of resource: Resource) async throws {
        try await ensure(object, of: resource)
        guard let served = served.find(resource) else { return }
        _ = try await change(resource, namespace: object.namespace, name: object.name) { old in
            var new = old
            for member in members { new[member] = object[member] }
            return try amend(old, to: new, of: served)
        }
    }
}
