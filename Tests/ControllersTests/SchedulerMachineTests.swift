// Placement by script: every obstacle in upstream's words, and the node that is left.

import Formats
import Objects
import Testing

@testable import Scheduling

@Suite struct SchedulerMachineTests {
    private let a = Thing.node("a", labels: ["zone": "east"])
    private let b = Thing.node("b", labels: ["zone": "west"])

    private func pod(_ name: String, _ spec: JSON = [:], app: String = "web") -> Object {
        var pod = Thing.pod(name, app: app)
        pod.spec["nodeName"] = nil
        for member in spec.object ?? JSONObject() { pod.spec[member.key] = member.value }
        return pod
    }

    private func place(
        _ pod: Object, on nodes: [Object], bound: [SchedulerMachine.Bound] = [], _ view: VolumeView = VolumeView()
    )
        -> SchedulerMachine.Placement
    {
        SchedulerMachine(nodes: nodes, bound: bound, volumes: view).place(pod)
    }

    private func container(_ requests: JSON, ports: JSON = []) -> JSON {
        ["containers": [["name": "main", "resources": ["requests": requests], "ports": ports]]]
    }

    @Test func theEmptierNodeWins() {
        let full = pod("full", container(["cpu": "3"]))
        #expect(place(pod("x"), on: [a, b]) == .bind(node: "a"))
        #expect(place(pod("x"), on: [a, b], bound: [(full, "a")]) == .bind(node: "b"))
        #expect(place(pod("x"), on: []) == .unschedulable("no nodes available to schedule pods"))
    }

    @Test func obstaclesAreCountedInUpstreamsWords() {
        let big = pod("x", container(["cpu": "8", "memory": "1Ti"]))
        #expect(
            place(big, on: [a, b])
                == .unschedulable("0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient memory."))
        var cordoned = a
        cordoned.spec["unschedulable"] = true
        let tainted = Thing.node("c", taints: [["key": "team", "value": "db", "effect": "NoSchedule"]])
        let picky = pod("x", ["nodeSelector": ["zone": "north"]])
        #expect(
            place(picky, on: [cordoned, b, tainted])
                == .unschedulable(
                    "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
                        + "1 node(s) had untolerated taint {team: db}, 1 node(s) were unschedulable."))
        let tolerant = pod("x", ["tolerations": [["key": "team", "operator": "Equal", "value": "db"]]])
        #expect(place(tolerant, on: [tainted]) == .bind(node: "c"))
        var silent = a
        silent.status["conditions"] = [["type": "Ready", "status": "Unknown"]]
        #expect(
            place(pod("x"), on: [silent])
                == .unschedulable(
                    "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }."))
    }

    @Test func fewAndUnimportantPodsMakeRoom() {
        func weighed(_ name: String, _ priority: Int, _ cpu: String) -> Object {
            var found = pod(name, container(["cpu": .string(cpu)])).stored()
            found.spec["priority"] = JSON(priority)
            return found
        }
        func plan(_ pod: Object, _ bound: [SchedulerMachine.Bound]) -> Preemption.Plan? {
            Preemption(nodes: [a, b], bound: bound, volumes: VolumeView()).plan(for: pod)
        }
        // Four processors each: on `a` two small pods are in the way, on `b` one that matters more.
        let bound: [SchedulerMachine.Bound] = [
            (weighed("small", 1, "1"), "a"), (weighed("tiny", 2, "1"), "a"), (weighed("peer", 100, "2"), "a"),
            (weighed("big", 50, "4"), "b"),
        ]
        let wanted = weighed("new", 100, "1")
        #expect(plan(wanted, bound) == .init(node: "a", victims: [bound[0].pod]))
        #expect(plan(weighed("new", 100, "2"), bound)?.victims.map(\.name) == ["small", "tiny"])
        #expect(plan(weighed("new", 100, "3"), bound) == .init(node: "b", victims: [bound[3].pod]))
        #expect(plan(weighed("new", 1, "1"), bound) == nil, "nobody is less important")
        #expect(plan(weighed("new", 100, "8"), bound) == nil, "nobody's leaving would help")
        var polite = wanted
        polite.spec["preemptionPolicy"] = "Never"
        #expect(plan(polite, bound) == nil)
        var waiting = wanted
        waiting.status["nominatedNodeName"] = "a"
        #expect(plan(waiting, [(bound[0].pod.going(), "a")] + bound.dropFirst()) == nil, "one is on its way already")
    }

    @Test func guardedPodsAreSparedWhereOthersWouldDo() {
        func weighed(_ name: String, app: String, _ priority: Int, _ cpu: String) -> Object {
            var found = pod(name, container(["cpu": .string(cpu)]), app: app).stored()
            found.spec["priority"] = JSON(priority)
            return found
        }
        func budget(_ app: String, _ allowed: Int) -> Object {
            var found = Object(.podDisruptionBudgets, namespace: Thing.pod("x").namespace, name: app)
            found.spec = ["minAvailable": 1, "selector": ["matchLabels": ["app": .string(app)]]]
            found.status = ["disruptionsAllowed": JSON(allowed)]
            return found
        }
        let bound: [SchedulerMachine.Bound] = [
            (weighed("low", app: "db", 1, "2"), "a"), (weighed("high", app: "web", 2, "2"), "a"),
            (weighed("all", app: "all", 9, "4"), "b"),
        ]
        let wanted = weighed("new", app: "new", 100, "2")
        func plan(_ budgets: [Object], _ pod: Object? = nil) -> Preemption.Plan? {
            Preemption(nodes: [a, b], bound: bound, volumes: VolumeView(), budgets: budgets).plan(for: pod ?? wanted)
        }
        #expect(plan([]) == .init(node: "a", victims: [bound[0].pod]))
        #expect(plan([budget("db", 1)]) == .init(node: "a", victims: [bound[0].pod]), "one may be disturbed")
        #expect(
            plan([budget("db", 0)]) == .init(node: "a", victims: [bound[1].pod]),
            "the more important one, which nothing guards")
        #expect(
            plan([budget("db", 0), budget("web", 0)]) == .init(node: "b", victims: [bound[2].pod]),
            "another node, where none is guarded")
        let all = ["db", "web", "all"].map { budget($0, 0) }
        #expect(plan(all) == .init(node: "a", victims: [bound[0].pod]), "no choice: as if there were no budgets")
    }

    @Test func portsOfTheMachineAreTakenOnce() {
        let server = pod("server", container([:], ports: [["containerPort": 80, "hostPort": 8080]]))
        #expect(
            place(server, on: [a], bound: [(server, "a")])
                == .unschedulable(
                    "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."))
        let other = pod("x", container([:], ports: [["containerPort": 80, "hostPort": 8080, "protocol": "UDP"]]))
        #expect(place(other, on: [a], bound: [(server, "a")]) == .bind(node: "a"))
        var host = pod("x", container([:], ports: [["containerPort": 8080]]))
        host.spec["hostNetwork"] = true
        #expect(place(host, on: [a, b], bound: [(server, "a")]) == .bind(node: "b"))
        let elsewhere = pod(
            "x", container([:], ports: [["containerPort": 80, "hostPort": 8080, "hostIP": "10.0.0.1"]]))
        var fixed = server
        fixed.spec["containers"] = [["ports": [["hostPort": 8080, "hostIP": "10.0.0.2"]]]]
        #expect(place(elsewhere, on: [a], bound: [(fixed, "a")]) == .bind(node: "a"))
    }

    private func affinity(_ rule: String, app: String, key: String = "zone") -> JSON {
        [
            "affinity": [
                rule: [
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        ["labelSelector": ["matchLabels": ["app": .string(app)]], "topologyKey": .string(key)]
                    ]
                ]
            ]
        ]
    }

    @Test func togetherAndApart() {
        let cache = pod("cache", app: "cache")
        let near = pod("x", affinity("podAffinity", app: "cache"))
        #expect(place(near, on: [a, b], bound: [(cache, "b")]) == .bind(node: "b"))
        #expect(
            place(near, on: [a])
                == .unschedulable("0/1 nodes are available: 1 node(s) didn't match pod affinity rules."))
        // The first of a group that wants to be together may go anywhere.
        #expect(place(pod("x", affinity("podAffinity", app: "web")), on: [a]) == .bind(node: "a"))
        let apart = pod("x", affinity("podAntiAffinity", app: "web"))
        #expect(place(apart, on: [a, b], bound: [(apart, "a")]) == .bind(node: "b"))
        #expect(
            place(apart, on: [a], bound: [(pod("plain"), "a")])
                == .unschedulable("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules."))
        #expect(
            place(pod("plain"), on: [a], bound: [(apart, "a")])
                == .unschedulable(
                    "0/1 nodes are available: 1 node(s) didn't satisfy existing pods anti-affinity rules."))
    }

    @Test func spreadsOverPlaces() {
        let even: JSON = [
            "topologySpreadConstraints": [
                [
                    "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": ["matchLabels": ["app": "web"]],
                ]
            ]
        ]
        let spread = pod("x", even)
        #expect(place(spread, on: [a, b], bound: [(spread, "a")]) == .bind(node: "b"))
        let cramped = place(spread, on: [a, Thing.node("c")], bound: [(spread, "a")])
        #expect(cramped == .bind(node: "a"))
        var closed = b
        closed.spec["unschedulable"] = true
        #expect(
            place(spread, on: [a, closed], bound: [(spread, "a")])
                == .unschedulable(
                    "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) were unschedulable."
                ))
    }

    @Test func claimsDecideWhereAndWhen() {
        let user = pod("x", ["volumes": [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]]])
        #expect(
            place(user, on: [a]) == .unschedulable("0/1 nodes are available: persistentvolumeclaim \"data\" not found.")
        )
        var claim = Object(.persistentVolumeClaims, namespace: "shop", name: "data").stored()
        claim.spec = ["storageClassName": "slow"]
        var storage = Object(.storageClasses, name: "slow")
        #expect(
            place(user, on: [a], bound: [], VolumeView(claims: [claim], volumes: [], classes: [storage]))
                == .unschedulable("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."))
        storage["volumeBindingMode"] = "WaitForFirstConsumer"
        let waiting = VolumeView(claims: [claim], volumes: [], classes: [storage])
        #expect(place(user, on: [a, b], bound: [], waiting) == .prepare(node: "a", claims: [claim.key]))
        claim.annotations[VolumeView.selectedNode] = "b"
        let chosen = VolumeView(claims: [claim], volumes: [], classes: [storage])
        #expect(place(user, on: [a, b], bound: [], chosen) == .prepare(node: "b", claims: [claim.key]))
        claim.spec["volumeName"] = "pv"
        claim.status["phase"] = "Bound"
        var volume = Object(.persistentVolumes, name: "pv")
        volume.spec["nodeAffinity", "required"] = [
            "nodeSelectorTerms": [["matchExpressions": [["key": "zone", "operator": "In", "values": ["east"]]]]]
        ]
        let bound = VolumeView(claims: [claim], volumes: [volume], classes: [storage])
        #expect(place(user, on: [a, b], bound: [], bound) == .bind(node: "a"))
        #expect(
            place(user, on: [b], bound: [], bound)
                == .unschedulable("0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity."))
    }
}
