// What fresh objects get from others, and are refused because of them.

import Formats
import Objects
import Testing

@testable import APIServer

@Suite struct AdmissionTests {
    private let pods = "/api/v1/namespaces/default/pods"

    private func pod(_ name: String, _ change: (inout JSON) -> Void = { _ in }) -> JSON {
        var pod = Sample.pod(name)
        change(&pod)
        return pod
    }

    @Test func priorityClassesBecomeNumbers() async throws {
        let server = try await Server()
        let critical = try await server.post(
            pods, pod("a") { $0["spec", "priorityClassName"] = "system-node-critical" })
        #expect(critical["spec", "priority"] == 2_000_001_000)
        #expect(critical["spec", "preemptionPolicy"] == "PreemptLowerPriority")
        #expect(try await server.post(pods, pod("b"))["spec", "priority"] == 0)
        let missing = try await server.post(pods, pod("c") { $0["spec", "priorityClassName"] = "vip" })
        #expect(missing.code == 403)
        #expect(missing.message == "pods \"c\" is forbidden: no PriorityClass with name vip was found")
        let own = try await server.post(pods, pod("d") { $0["spec", "priority"] = 7 })
        #expect(own.code == 403)
        let classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
        _ = try await server.post(classes, ["metadata": ["name": "usual"], "value": 10, "globalDefault": true])
        let usual = try await server.post(pods, pod("e"))
        #expect(usual["spec", "priorityClassName"] == "usual")
        #expect(usual["spec", "priority"] == 10)
        let reserved = try await server.post(classes, ["metadata": ["name": "system-mine"], "value": 1])
        #expect(reserved.code == 422)
    }

    @Test func containersGetDefaultAmountsAndKeepTheBounds() async throws {
        let server = try await Server()
        let created = try await server.post(
            "/api/v1/namespaces/default/limitranges",
            [
                "metadata": ["name": "bounds"],
                "spec": ["limits": [["type": "Container", "default": ["cpu": "500m"], "max": ["cpu": "1"]]]],
            ])
        #expect(created["spec", "limits"]?.array?.first?["defaultRequest"] == ["cpu": "500m"])
        let filled = try await server.post(pods, pod("a"))
        let resources = filled["spec", "containers"]?.array?.first?["resources"]
        #expect(resources == ["requests": ["cpu": "500m"], "limits": ["cpu": "500m"]])
        #expect(
            filled.object.annotations["kubernetes.io/limit-ranger"]
                == "LimitRanger plugin set: cpu request for container main; cpu limit for container main")
        let greedy = try await server.post(
            pods, pod("b") { $0.container { $0["resources"] = ["limits": ["cpu": "2"], "requests": ["cpu": "1"]] } })
        #expect(greedy.code == 403)
        #expect(greedy.message == "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2")
    }

    @Test func quotasAreKept() async throws {
        let server = try await Server()
        let quota: JSON = [
            "metadata": ["name": "small"], "spec": ["hard": ["pods": "2", "requests.cpu": "1", "count/secrets": "1"]],
        ]
        _ = try await server.post("/api/v1/namespaces/default/resourcequotas", quota)
        let silent = try await server.post(pods, pod("a"))
        #expect(silent.message == "pods \"a\" is forbidden: failed quota: small: must specify requests.cpu for: main")
        func asking(_ name: String, _ cpu: String) -> JSON {
            pod(name) { $0.container { $0["resources"] = ["requests": ["cpu": .string(cpu)]] } }
        }
        #expect(try await server.post(pods, asking("b", "600m")).code == 201)
        let second = try await server.post(pods, asking("c", "600m"))
        #expect(second.code == 403)
        #expect(
            second.message
                == "pods \"c\" is forbidden: exceeded quota: small, requested: requests.cpu=600m, used: requests.cpu=600m, "
                + "limited: requests.cpu=1")
        #expect(try await server.post(pods, asking("d", "100m")).code == 201)
        #expect(
            try await server.post(pods, asking("e", "100m")).message.contains(
                "requested: pods=1, used: pods=2, limited: pods=2"))
        let secrets = "/api/v1/namespaces/default/secrets"
        #expect(try await server.post(secrets, ["metadata": ["name": "s1"]]).code == 201)
        #expect(try await server.post(secrets, ["metadata": ["name": "s2"]]).code == 403)
    }

    @Test func claimsAndIngressesGetTheDefaultClass() async throws {
        let server = try await Server()
        _ = try await server.post(
            "/apis/storage.k8s.io/v1/storageclasses",
            [
                "metadata": ["name": "disk", "annotations": ["storageclass.kubernetes.io/is-default-class": "true"]],
                "provisioner": "acme.io/disk",
            ])
        let claim = try await server.post(
            "/api/v1/namespaces/default/persistentvolumeclaims",
            [
                "metadata": ["name": "c"],
                "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
            ])
        #expect(claim["spec", "storageClassName"] == "disk")
        #expect(claim["spec", "volumeMode"] == "Filesystem")
        #expect(claim["status", "phase"] == "Pending")
    }
}
