// Evictions as budgets allow them, ephemeral containers and resizing, and the rules of deletes and updates.

import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct EvictionTests {
    static let pods = "/api/v1/namespaces/default/pods"
    static let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"

    private func eviction(_ pod: String) -> JSON {
        ["apiVersion": "policy/v1", "kind": "Eviction", "metadata": ["name": .string(pod)]]
    }

    /// A running pod, and a budget whose status says what a controller would.
    private func server(allowed: Int, ready: Bool = true) async throws -> Server {
        let server = try await Server()
        _ = try await server.post(Self.pods, Sample.pod("web", labels: ["app": "web"]))
        let status: JSON = [
            "status": ["phase": "Running", "conditions": [["type": "Ready", "status": ready ? "True" : "False"]]]
        ]
        _ = try await server.send(.patch, Self.pods + "/web/status", status, type: "application/merge-patch+json")
        _ = try await server.post(
            Self.budgets,
            [
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": ["name": "budget"],
                "spec": ["minAvailable": 1, "selector": ["matchLabels": ["app": "web"]]],
            ])
        let counts: JSON = [
            "status": [
                "observedGeneration": 1, "disruptionsAllowed": JSON(allowed), "currentHealthy": 1, "desiredHealthy": 1,
                "expectedPods": 1,
            ]
        ]
        let set = try await server.send(
            .patch, Self.budgets + "/budget/status", counts, type: "application/merge-patch+json")
        #expect(set.code == 200)
        return server
    }

    @Test func aSpentBudgetRefuses() async throws {
        let server = try await server(allowed: 0)
        let refused = try await server.post(Self.pods + "/web/eviction", eviction("web"))
        #expect(refused.code == 429)
        #expect(refused.message == "Cannot evict pod as it would violate the pod's disruption budget.")
        #expect(
            refused["details", "causes"] == [
                [
                    "reason": "DisruptionBudget",
                    "message": "The disruption budget budget needs 1 healthy pods and has 1 currently",
                ]
            ])
        #expect(try await server.get(Self.pods + "/web").object.isTerminating == false)
        #expect(try await server.post(Self.pods + "/none/eviction", eviction("none")).code == 404)
        #expect(try await server.post(Self.pods + "/web/eviction", eviction("other")).code == 400)
        #expect(try await server.get(Self.pods + "/web/eviction").code == 405)
    }

    @Test func aBudgetPaysForAnEviction() async throws {
        let server = try await server(allowed: 1)
        let dry = try await server.post(Self.pods + "/web/eviction?dryRun=All", eviction("web"))
        #expect(dry.code == 201)
        #expect(try await server.get(Self.budgets + "/budget")["status", "disruptionsAllowed"] == 1)
        let evicted = try await server.post(Self.pods + "/web/eviction", eviction("web"))
        #expect(evicted.code == 201)
        #expect(evicted["status"] == "Success")
        let budget = try await server.get(Self.budgets + "/budget")
        #expect(budget["status", "disruptionsAllowed"] == 0)
        #expect(budget["status", "disruptedPods"]?.object?.keys == ["web"])
        #expect(budget.object.condition("DisruptionAllowed")?["reason"] == "InsufficientPods")
    }

    @Test func unhealthyPodsOfAHealthyBudgetGoFree() async throws {
        let server = try await server(allowed: 0, ready: false)
        #expect(try await server.post(Self.pods + "/web/eviction", eviction("web")).code == 201)
    }

    @Test func aBudgetThatIsNotCountedYetIsWaitedFor() async throws {
        let server = try await server(allowed: 1)
        _ = try await server.send(
            .patch, Self.budgets + "/budget", ["spec": ["minAvailable": 2]], type: "application/merge-patch+json")
        let refused = try await server.post(Self.pods + "/web/eviction", eviction("web"))
        #expect(refused.code == 429)
        #expect(refused["details", "retryAfterSeconds"] == 10)
    }

    @Test func twoBudgetsAreOneTooMany() async throws {
        let server = try await server(allowed: 1)
        _ = try await server.post(
            Self.budgets,
            [
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": ["name": "second"],
                "spec": ["minAvailable": 1, "selector": [:]],
            ])
        #expect(try await server.post(Self.pods + "/web/eviction", eviction("web")).code == 500)
    }
}

@Suite struct PodPartTests {
    static let pods = "/api/v1/namespaces/default/pods"

    @Test func ephemeralContainersAreAddedAndStay() async throws {
        let server = try await Server()
        _ = try await server.post(Self.pods, Sample.pod("web"))
        let path = Self.pods + "/web/ephemeralcontainers"
        let first: JSON = ["spec": ["ephemeralContainers": [["name": "look", "image": "busybox"]]]]
        let type = "application/strategic-merge-patch+json"
        let added = try await server.send(.patch, path, first, type: type)
        #expect(added.code == 200)
        #expect(added["spec", "ephemeralContainers"]?.array?.count == 1)
        #expect(added.object.generation == 2)
        #expect(added.fields[values: .init("Warning") ?? .accept].isEmpty)
        let second: JSON = ["spec": ["ephemeralContainers": [["name": "again", "image": "busybox"]]]]
        #expect(
            try await server.send(.patch, path, second, type: type)["spec", "ephemeralContainers"]?.array?.count == 2)
        let removed = try await server.send(
            .patch, path, ["spec": ["ephemeralContainers": .null]], type: "application/merge-patch+json")
        #expect(removed.code == 422)
        #expect(removed.message.contains("existing ephemeral containers \"look\" may not be removed"))
    }

    @Test func resizingChangesResourcesAndNothingElse() async throws {
        let server = try await Server()
        var pod = Sample.pod("web")
        if var main = pod["spec", "containers"]?.array?.first {
            main["resources"] = ["requests": ["cpu": "100m"]]
            pod["spec", "containers"] = .array([main])
        }
        _ = try await server.post(Self.pods, pod)
        let change: JSON = [
            "spec": [
                "containers": [["name": "main", "image": "other", "resources": ["requests": ["cpu": "200m"]]]],
                "priorityClassName": "x",
            ]
        ]
        let path = Self.pods + "/web/resize"
        let resized = try await server.send(.patch, path, change, type: "application/strategic-merge-patch+json")
        #expect(resized.code == 200, "\(resized.message)")
        let container = resized["spec", "containers"]?.array?.first
        #expect(container?["resources", "requests", "cpu"] == "200m")
        #expect(container?["image"] == "host")
        #expect(resized["spec", "priorityClassName"] != "x")
        let guaranteed: JSON = [
            "spec": [
                "containers": [
                    [
                        "name": "main",
                        "resources": [
                            "requests": ["cpu": "1", "memory": "1Gi"], "limits": ["cpu": "1", "memory": "1Gi"],
                        ],
                    ]
                ]
            ]
        ]
        let refused = try await server.send(.patch, path, guaranteed, type: "application/strategic-merge-patch+json")
        #expect(refused.code == 422 && refused.message.contains("Pod QOS Class may not change"))
    }
}

@Suite struct WriteRuleTests {
    static let maps = "/api/v1/namespaces/default/configmaps"

    @Test func deleteOptionsAreChecked() async throws {
        let server = try await Server()
        let made = try await server.post(Self.maps, Sample.configMap("a"))
        func delete(_ options: JSON, _ query: String = "") async throws -> Server.Reply {
            try await server.send(.delete, Self.maps + "/a" + query, options)
        }
        let both = try await delete(["propagationPolicy": "Orphan", "orphanDependents": true])
        #expect(both.code == 422)
        #expect(both.message.contains("orphanDependents and deletionPropagation cannot be both set"))
        let unknown = try await delete(["propagationPolicy": "Sideways"])
        #expect(
            unknown.message
                == "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": "
                + "supported values: \"Background\", \"Foreground\", \"Orphan\"")
        let uid = try await delete(["preconditions": ["uid": "x"]])
        #expect(uid.code == 409)
        #expect(
            uid.message.hasSuffix("Precondition failed: UID in precondition: x, UID in object meta: \(made.object.uid)")
        )
        let revision = try await delete(["preconditions": ["resourceVersion": "1"]])
        #expect(revision.code == 409)
        #expect(revision.message.contains("ResourceVersion in precondition: 1"))
        let waiting = try await delete([:], "?propagationPolicy=Foreground")
        #expect(waiting.object.finalizers == ["foregroundDeletion"])
        #expect(try await server.send(.delete, "/api/v1/configmaps").code == 405)
    }

    @Test func jobsOrphanWhenNobodySaysOtherwise() async throws {
        let server = try await Server()
        let jobs = "/apis/batch/v1/namespaces/default/jobs"
        let template: JSON = [
            "spec": ["restartPolicy": "Never", "containers": [["name": "main", "image": "host"]]]
        ]
        for name in ["a", "b"] {
            let made = try await server.post(
                jobs,
                [
                    "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name)],
                    "spec": ["template": template],
                ])
            #expect(made.code == 201, "\(made.message)")
        }
        #expect(try await server.send(.delete, jobs + "/a").object.finalizers == ["orphan"])
        _ = try await server.send(.delete, jobs + "/b?propagationPolicy=Background")
        #expect(try await server.get(jobs + "/b").code == 404)
    }

    @Test func someUpdatesCreateAndSomeNeedARevision() async throws {
        let server = try await Server()
        let endpoints = "/api/v1/namespaces/default/endpoints/web"
        let body: JSON = ["apiVersion": "v1", "kind": "Endpoints", "metadata": ["name": "web"]]
        #expect(try await server.send(.put, endpoints, body).code == 201)
        #expect(try await server.send(.put, Self.maps + "/none", Sample.configMap("none")).code == 404)
        let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        let lease: JSON = ["apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ["name": "a"]]
        _ = try await server.post(leases, lease)
        let blind = try await server.send(.put, leases + "/a", lease)
        #expect(blind.code == 422)
        #expect(blind.message.hasSuffix("metadata.resourceVersion: Invalid value: 0: must be specified for an update"))
        var numbered = Sample.configMap("b")
        numbered["metadata", "resourceVersion"] = "5"
        #expect(
            try await server.post(Self.maps, numbered).message
                == "resourceVersion should not be set on objects to be created")
    }

    @Test func aScaleCanBeApplied() async throws {
        let server = try await Server()
        let path = "/apis/apps/v1/namespaces/default/deployments"
        _ = try await server.post(path + "?fieldManager=maker", Sample.deployment("web", replicas: 1))
        let scale: JSON = [
            "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": ["name": "web"], "spec": ["replicas": 5],
        ]
        let refused = try await server.send(
            .patch, path + "/web/scale?fieldManager=hpa", scale, type: ApplyRequest.contentType)
        #expect(refused.code == 409)
        #expect(
            refused.message == "Apply failed with 1 conflict: conflict with \"maker\" using apps/v1: .spec.replicas")
        let forced = try await server.send(
            .patch, path + "/web/scale?fieldManager=hpa&force=true", scale, type: ApplyRequest.contentType)
        #expect(forced["spec", "replicas"] == 5)
        #expect(forced["kind"] == "Scale")
        let managers = try await server.get(path + "/web")["metadata", "managedFields"]?.array ?? []
        #expect(managers.first?["manager"] == "hpa")
        #expect(managers.first?["subresource"] == "scale")
    }

    @Test func partsOfAPodCanBeApplied() async throws {
        let server = try await Server()
        let path = "/api/v1/namespaces/default/pods"
        var pod = Sample.pod("web")
        pod["spec", "containers"] = [
            ["name": "main", "image": "host", "resources": ["requests": ["cpu": "100m"]]]
        ]
        _ = try await server.post(path + "?fieldManager=maker", pod)
        let debugging: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "web", "labels": ["not": "here"]],
            "spec": ["ephemeralContainers": [["name": "debug", "image": "host"]]],
        ]
        let debugged = try await server.send(
            .patch, path + "/web/ephemeralcontainers?fieldManager=a", debugging, type: ApplyRequest.contentType)
        #expect(debugged["spec", "ephemeralContainers"]?.array?.first?["name"] == "debug", "\(debugged)")
        #expect(debugged["metadata", "labels", "not"] == nil)
        let resizing: JSON = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "web"],
            "spec": ["containers": [["name": "main", "image": "host", "resources": ["requests": ["cpu": "200m"]]]]],
        ]
        let resize = path + "/web/resize?fieldManager=b"
        #expect(try await server.send(.patch, resize, resizing, type: ApplyRequest.contentType).code == 409)
        let resized = try await server.send(
            .patch, resize + "&force=true", resizing, type: ApplyRequest.contentType)
        #expect(resized["spec", "containers"]?.array?.first?["resources", "requests", "cpu"] == "200m", "\(resized)")
        let owners = (resized["metadata", "managedFields"]?.array ?? []).map {
            "\($0["manager"]?.string ?? "") \($0["subresource"]?.string ?? "") \($0["fieldsV1"]?.text ?? "")"
        }
        #expect(
            owners.contains(
                #"""
                a ephemeralcontainers {"f:spec":{"f:ephemeralContainers":{"k:{\"name\":\"debug\"}":{".":{},"f:image":{},\#
                "f:name":{}}}}}
                """#), "\(owners)")
        #expect(
            owners.contains(
                #"""
                b resize {"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:name":{},\#
                "f:resources":{"f:requests":{"f:cpu":{}}}}}}}
                """#), "\(owners)")
    }

    @Test func patchesThatAreTooLongOrDoNotFit() async throws {
        let server = try await Server()
        _ = try await server.post(Self.maps, Sample.configMap("a"))
        let test: JSON = ["op": "test", "path": "/kind", "value": "ConfigMap"]
        let json = "application/json-patch+json"
        let long = try await server.send(
            .patch, Self.maps + "/a", .array(Array(repeating: test, count: JSONPatch.operationLimit + 1)), type: json)
        #expect(long.code == 413)
        let missing = try await server.send(
            .patch, Self.maps + "/a", [["op": "remove", "path": "/data/x"]], type: json)
        #expect(missing.code == 422)
        // kubectl prints the message of an Invalid answer only where it names no object.
        #expect(missing["details", "name"] == nil)
        let malformed = try await server.send(.patch, Self.maps + "/a", [["op": "fold", "path": "/x"]], type: json)
        #expect(malformed.code == 400)
    }
}
