// All controllers together, through the API and nothing else.

import Client
import Formats
import Objects
import Testing

@testable import Controllers

extension Object {
    /// Whether the status speaks of the newest spec.
    fileprivate var isObserved: Bool { statusCount("observedGeneration") == generation }
}

@Suite(.timeLimit(.minutes(2))) struct ControlLoopsTests {
    private func template(_ version: String = "1", app: String = "web", annotations: [String: String] = [:]) -> JSON {
        [
            "metadata": ["labels": ["app": .string(app)], "annotations": JSON(stringMap: annotations)],
            "spec": ["containers": [["name": "main", "image": "host", "command": ["serve", .string(version)]]]],
        ]
    }

    private func workload(_ app: String, _ more: JSON = [:]) -> JSON {
        var spec: JSON = ["selector": ["matchLabels": ["app": .string(app)]], "template": template(app: app)]
        for member in more.object ?? JSONObject() { spec[member.key] = member.value }
        return spec
    }

    @Test func aDeploymentRollsAndItsEndpointsFollow() async throws {
        try await TestCluster.run { cluster in
            try await cluster.create(
                .services, "web", ["selector": ["app": "web"], "ports": [["port": 80, "targetPort": 8080]]])
            try await cluster.create(.deployments, "web", workload("web", ["replicas": 3]))
            try await cluster.until(.deployments, "web") { $0?.status["availableReplicas"] == 3 }
            try await cluster.until(.endpoints, "web") {
                $0?["subsets"]?.array?.first?["addresses"]?.array?.count == 3
            }
            let slices = try await cluster.list(.endpointSlices).filter {
                $0.labels[EndpointSliceMachine.serviceLabel] == "web"
            }
            #expect(slices.count == 1)
            #expect(slices.first?["endpoints"]?.array?.count == 3)
            try await cluster.client.patch(
                .deployments, ObjectKey(namespace: "default", name: "web"), .merge,
                ["spec": ["template": template("2")]])
            let done = try await cluster.until(.deployments, "web") {
                $0?.isObserved == true && $0?.status["updatedReplicas"] == 3 && $0?.status["replicas"] == 3
                    && $0?.condition("Progressing")?["reason"] == "NewReplicaSetAvailable"
            }
            #expect(done?.annotations["deployment.kubernetes.io/revision"] == "2")
            let sets = try await cluster.list(.replicaSets)
            #expect(sets.map(\.desiredReplicas).sorted() == [0, 3])
            let events = try await cluster.events(about: "web")
            #expect(events.contains { $0.hasPrefix("ScalingReplicaSet: Scaled up replica set web-") })
            // Everything below goes with its owner.
            try await cluster.client.delete(
                .deployments, ObjectKey(namespace: "default", name: "web"), propagation: .foreground)
            try await cluster.until(.deployments, "web") { $0 == nil }
            #expect(try await cluster.list(.replicaSets).isEmpty)
        }
    }

    @Test func aStatefulSetUpdatesPodByPod() async throws {
        try await TestCluster.run { cluster in
            try await cluster.create(.statefulSets, "db", workload("db", ["replicas": 2, "serviceName": "db"]))
            try await cluster.until(.statefulSets, "db") { $0?.status["readyReplicas"] == 2 }
            #expect(try await cluster.list(.pods).map(\.name) == ["db-0", "db-1"])
            try await cluster.client.patch(
                .statefulSets, ObjectKey(namespace: "default", name: "db"), .merge,
                ["spec": ["template": template("2", app: "db")]])
            let done = try await cluster.until(.statefulSets, "db") {
                $0?.isObserved == true && $0?.status["updatedReplicas"] == 2 && $0?.status["readyReplicas"] == 2
                    && $0?.status["currentRevision"] == $0?.status["updateRevision"]
            }
            #expect(try await cluster.list(.controllerRevisions).count == 2)
            let pods = try await cluster.list(.pods)
            #expect(
                Set(pods.compactMap { $0.labels["controller-revision-hash"] })
                    == [done?.status["updateRevision"]?.string ?? ""])
        }
    }

    @Test func aDaemonSetAndAReplicationController() async throws {
        try await TestCluster.run { cluster in
            try await cluster.create(.daemonSets, "agent", workload("agent"))
            let set = try await cluster.until(.daemonSets, "agent") { $0?.status["numberAvailable"] == 1 }
            #expect(set?.status["desiredNumberScheduled"] == 1)
            var spec: JSON = ["replicas": 2, "selector": ["app": "old"], "template": template(app: "old")]
            spec["template", "metadata", "annotations"] = nil
            try await cluster.create(.replicationControllers, "old", spec)
            try await cluster.until(.replicationControllers, "old") { $0?.status["readyReplicas"] == 2 }
        }
    }

    @Test func jobsEndAndLetTheirPodsGo() async throws {
        try await TestCluster.run { cluster in
            func job(_ ending: String, _ more: JSON) -> JSON {
                var template = template(app: ending.lowercased(), annotations: ["test/ends": ending])
                template["spec", "restartPolicy"] = "Never"
                var spec: JSON = ["template": template]
                for member in more.object ?? JSONObject() { spec[member.key] = member.value }
                return spec
            }
            try await cluster.create(.jobs, "good", job("Succeeded", ["completions": 3, "parallelism": 2]))
            try await cluster.create(
                .jobs, "bad", job("Failed", ["backoffLimit": 0, "completions": 1, "parallelism": 1]))
            let good = try await cluster.until(.jobs, "good") { $0?.isTrue("Complete") == true }
            #expect(good?.status["succeeded"] == 3)
            #expect(good?.status["uncountedTerminatedPods"] == [:])
            let bad = try await cluster.until(.jobs, "bad") { $0?.isTrue("Failed") == true }
            #expect(bad?.condition("Failed")?["reason"] == "BackoffLimitExceeded")
            #expect(bad?.status["failed"] == 1)
            for name in ["good", "bad"] {
                try await cluster.client.delete(
                    .jobs, ObjectKey(namespace: "default", name: name), propagation: .foreground)
                try await cluster.until(.jobs, name) { $0 == nil }
            }
            #expect(try await cluster.list(.pods).isEmpty)
        }
    }

    @Test func claimsOfAStatefulSetAreMadeWhereItsPodsGo() async throws {
        try await TestCluster.run { cluster in
            let templates: JSON = [
                [
                    "metadata": ["name": "data"],
                    "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
                ]
            ]
            try await cluster.create(
                .statefulSets, "db",
                workload("db", ["replicas": 1, "serviceName": "db", "volumeClaimTemplates": templates]))
            try await cluster.until(.statefulSets, "db") { $0?.status["readyReplicas"] == 1 }
            let claim = try await cluster.until(.persistentVolumeClaims, "data-db-0") { $0?.status["phase"] == "Bound" }
            let name = claim?.spec["volumeName"]?.string ?? ""
            #expect(claim?.spec["storageClassName"] == "local-path")
            let volume = try await cluster.until(.persistentVolumes, name) { $0?.status["phase"] == "Bound" }
            #expect(volume?.spec["hostPath", "path"] == .string("/nowhere/\(name)"))
            // The claim outlives the set; its end takes the volume with it.
            try await cluster.client.delete(
                .statefulSets, ObjectKey(namespace: "default", name: "db"), propagation: .foreground)
            try await cluster.until(.statefulSets, "db") { $0 == nil }
            #expect(try await cluster.list(.persistentVolumeClaims).map(\.name) == ["data-db-0"])
            try await cluster.client.delete(.persistentVolumeClaims, ObjectKey(namespace: "default", name: "data-db-0"))
            try await cluster.until(.persistentVolumes, name) { $0 == nil }
        }
    }

    @Test func anAutoscalerReadsTheMetricsAndScales() async throws {
        try await TestCluster.run { cluster in
            // A StatefulSet, because its pods have the names that the test's metrics know.
            var spec = workload("busy", ["replicas": 1, "serviceName": "busy", "podManagementPolicy": "Parallel"])
            spec["template", "spec", "containers"] = [
                ["name": "main", "image": "host", "command": ["serve"], "resources": ["requests": ["memory": "32Mi"]]]
            ]
            try await cluster.create(.statefulSets, "busy", spec)
            try await cluster.until(.statefulSets, "busy") { $0?.status["readyReplicas"] == 1 }
            let metrics = try await cluster.client.get(
                AutoscalerController.podMetrics, ObjectKey(namespace: "default", name: "busy-0"))
            #expect(metrics["containers"]?.array?.first?["usage", "cpu"] == "100m")
            #expect(metrics.labels["app"] == "busy")
            try await cluster.create(
                .horizontalPodAutoscalers, "busy",
                [
                    "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "StatefulSet", "name": "busy"],
                    "minReplicas": 1,
                    "maxReplicas": 3,
                    "metrics": [
                        [
                            "type": "Resource",
                            "resource": [
                                "name": "memory", "target": ["type": "Utilization", "averageUtilization": 50],
                            ],
                        ]
                    ],
                ])
            let scaled = try await cluster.until(.horizontalPodAutoscalers, "busy") {
                $0?.status["desiredReplicas"] == 3
            }
            #expect(scaled?.condition("AbleToScale")?["reason"] == "SucceededRescale")
            #expect(scaled?.condition("ScalingLimited")?["reason"] == "TooManyReplicas")
            try await cluster.until(.statefulSets, "busy") { $0?.status["readyReplicas"] == 3 }
        }
    }

    @Test func aBudgetFollowsItsPods() async throws {
        try await TestCluster.run { cluster in
            try await cluster.create(.deployments, "web", workload("web", ["replicas": 3]))
            try await cluster.create(
                .podDisruptionBudgets, "web",
                [
                    "maxUnavailable": 1, "selector": ["matchLabels": ["app": "web"]],
                ])
            let budget = try await cluster.until(.podDisruptionBudgets, "web") { $0?.status["disruptionsAllowed"] == 1 }
            #expect(budget?.status["desiredHealthy"] == 2)
            #expect(budget?.status["expectedPods"] == 3)
        }
    }

    @Test func handWrittenEndpointsAreMirrored() async throws {
        try await TestCluster.run { cluster in
            try await cluster.create(.services, "outside", ["ports": [["port": 5432]]])
            var endpoints = Object(.endpoints, namespace: "default", name: "outside")
            endpoints["subsets"] = [["addresses": [["ip": "192.0.2.7"]], "ports": [["port": 5432]]]]
            let stored = try await cluster.client.create(.endpoints, endpoints)
            while true {
                let mirrors = try await cluster.list(.endpointSlices).filter { $0.name.hasPrefix("outside-") }
                if let mirror = mirrors.first {
                    #expect(mirrors.count == 1)
                    #expect(mirror["endpoints"]?.array?.first?["addresses"] == ["192.0.2.7"])
                    #expect(mirror.labels[EndpointSliceMachine.managedByLabel] == MirrorMachine.manager)
                    #expect(mirror.controllerReference?.uid == stored.uid)
                    try await cluster.client.delete(.endpoints, stored.key)
                    try await cluster.until(.endpointSlices, mirror.name) { $0 == nil }
                    return
                }
                await Task.yield()
            }
        }
    }
}
