// What is served: groups, versions, discovery, and objects seen through two versions.

import Formats
import Objects
import Testing

@testable import APIServer

@Suite struct ServedResourcesTests {
    private let served = ServedResources(ResourceTable.all)

    @Test func groupsComeInUpstreamsOrderWithThePreferredVersionFirst() {
        let groups = served.groups
        #expect(
            groups.map(\.name) == [
                "", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling",
                "batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
                "storage.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io",
                "node.k8s.io", "discovery.k8s.io",
            ])
        #expect(groups.first { $0.name == "autoscaling" }?.versions == ["v2", "v1"])
    }

    @Test(arguments: [
        (["v1", "v2"], ["v2", "v1"]), (["v1beta1", "v1"], ["v1", "v1beta1"]),
        (["v1alpha1", "v1beta2", "v1beta10"], ["v1beta10", "v1beta2", "v1alpha1"]),
        (["foo", "v1", "bar"], ["v1", "bar", "foo"]), (["v11alpha2", "v2beta1"], ["v2beta1", "v11alpha2"]),
    ])
    func versionsAreOrderedByStability(given: [String], expected: [String]) {
        #expect(given.sorted { APIVersionOrder.isPreferred($0, to: $1) } == expected)
    }

    /// Values that kube-apiserver prints.
    @Test(arguments: [
        ("", "v1", "pods", "xPOwRZ+Yhw8="), ("", "v1", "events", "r2yiGXH7wu8="),
        ("events.k8s.io", "v1", "events", "r2yiGXH7wu8="),
        ("autoscaling", "v1", "horizontalpodautoscalers", "qwQve8ut294="),
        ("autoscaling", "v2", "horizontalpodautoscalers", "qwQve8ut294="),
    ])
    func storageVersionHashesAreUpstreams(group: String, version: String, plural: String, hash: String) throws {
        let document = try #require(Discovery(served: served).resourceList(group: group, version: version))
        let entry = document["resources"]?.array?.first { $0["name"]?.string == plural }
        #expect(entry?["storageVersionHash"]?.string == hash)
    }

    @Test func everyPrinterFillsItsColumns() {
        let now = Timestamp(secondsSinceEpoch: 1_700_000_000)
        for each in served.all {
            let object = Object([
                "apiVersion": .string(each.resource.apiVersion), "kind": .string(each.resource.kind),
                "metadata": ["name": "x"],
            ])
            #expect(
                each.printer.cells(object, now).count == each.printer.columns.count,
                "\(each.resource.qualifiedName)")
        }
    }

    @Test func virtualResourcesAnswerWithoutAStore() async throws {
        let server = try await Server()
        let list = try await server.get("/api/v1/componentstatuses")
        #expect(list.items.map(\.name) == ["controller-manager", "scheduler", "etcd-0"])
        #expect(list.items.allSatisfy { $0["conditions"]?.array?.first?["status"] == "True" })
        #expect(try await server.get("/api/v1/componentstatuses/etcd-0").code == 200)
        #expect(try await server.get("/api/v1/componentstatuses/moon").code == 404)
        #expect(try await server.post("/api/v1/componentstatuses", [:]).code == 405)
        _ = try await server.post("/api/v1/namespaces/default/pods", Sample.pod("p"))
        let bound = try await server.post(
            "/api/v1/namespaces/default/bindings",
            ["metadata": ["name": "p"], "target": ["kind": "Node", "name": "n1"]])
        #expect(bound.code == 201)
        #expect(try await server.get("/api/v1/namespaces/default/pods/p")["spec", "nodeName"] == "n1")
    }
}

@Suite struct VersionTests {
    @Test func anEventIsOneObjectInTwoVersions() async throws {
        let server = try await Server()
        let lines = try await server.watch("/apis/events.k8s.io/v1/namespaces/default/events?watch=true")
        let created = try await server.post(
            "/api/v1/namespaces/default/events",
            [
                "metadata": ["name": "e"], "involvedObject": ["kind": "Pod", "name": "p", "namespace": "default"],
                "reason": "Started", "message": "it runs", "type": "Normal", "count": 2,
                "source": ["component": "kubelet"],
            ])
        #expect(created.code == 201)
        let modern = try await server.get("/apis/events.k8s.io/v1/namespaces/default/events/e")
        #expect(modern["apiVersion"] == "events.k8s.io/v1")
        #expect(modern["note"] == "it runs")
        #expect(modern["regarding", "name"] == "p")
        #expect(modern["deprecatedCount"] == 2)
        #expect(modern.resourceVersion == created.resourceVersion)
        let list = try await server.get("/apis/events.k8s.io/v1/events")
        #expect(list.items.first?["note"] == "it runs")
        let line = try #require(try await lines.next())
        #expect(line["object", "regarding", "kind"] == "Pod")
        let patched = try await server.send(
            .patch, "/apis/events.k8s.io/v1/namespaces/default/events/e", ["metadata": ["labels": ["seen": "yes"]]],
            type: "application/merge-patch+json")
        #expect(patched.code == 200)
        let changed = try await server.send(
            .patch, "/apis/events.k8s.io/v1/namespaces/default/events/e", ["note": "it stopped"],
            type: "application/merge-patch+json")
        #expect(changed.message.contains("note: Invalid value: \"it stopped\": field is immutable"))
        let again = try await server.get("/apis/events.k8s.io/v1/namespaces/default/events/e")
        #expect(again.object.labels == ["seen": "yes"])
    }

    private let path = "/namespaces/default/horizontalpodautoscalers"

    @Test func anAutoscalerIsOneObjectInTwoVersions() async throws {
        let server = try await Server()
        let created = try await server.post(
            "/apis/autoscaling/v1" + path,
            [
                "metadata": ["name": "web"],
                "spec": [
                    "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": "web"], "maxReplicas": 5,
                    "targetCPUUtilizationPercentage": 60,
                ],
            ])
        #expect(created.code == 201)
        #expect(created["spec", "targetCPUUtilizationPercentage"] == 60)
        let modern = try await server.get("/apis/autoscaling/v2" + path + "/web")
        #expect(modern.tree["metadata", "annotations"] == nil)
        #expect(
            modern["spec", "metrics"] == [
                [
                    "type": "Resource",
                    "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 60]],
                ]
            ])
        var both = modern.tree
        both["spec", "metrics"] = .array(
            (modern["spec", "metrics"]?.array ?? []) + [
                [
                    "type": "External",
                    "external": [
                        "metric": ["name": "queue", "selector": ["matchLabels": ["q": "a"]]],
                        "target": ["type": "AverageValue", "averageValue": "30"],
                    ],
                ],
                [
                    "type": "Object",
                    "object": [
                        "metric": ["name": "hits"], "describedObject": ["kind": "Service", "name": "web"],
                        "target": ["type": "Value", "value": "2k"],
                    ],
                ],
            ])
        both["spec", "behavior"] = ["scaleDown": ["selectPolicy": "Disabled"]]
        let updated = try await server.send(.put, "/apis/autoscaling/v2" + path + "/web", both)
        #expect(updated.code == 200)
        let old = try await server.get("/apis/autoscaling/v1" + path + "/web")
        #expect(old["spec", "targetCPUUtilizationPercentage"] == 60)
        let carried = old.object.annotations["autoscaling.alpha.kubernetes.io/metrics"] ?? ""
        #expect(carried.contains("\"metricName\":\"queue\""))
        #expect(carried.contains("\"targetAverageValue\":\"30\""))
        #expect(carried.contains("\"target\":{\"kind\":\"Service\""))
        let put = try await server.send(.put, "/apis/autoscaling/v1" + path + "/web", old.tree)
        #expect(put.code == 200)
        let again = try await server.get("/apis/autoscaling/v2" + path + "/web")
        #expect(again["spec", "metrics"] == updated["spec", "metrics"])
        #expect(again["spec", "behavior"] == updated["spec", "behavior"])
        #expect(again.resourceVersion == updated.resourceVersion)
    }
}
