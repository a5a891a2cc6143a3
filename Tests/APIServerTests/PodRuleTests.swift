// What pods may not be, in upstream's words: a fragment of a pod and the causes that it is refused with.

import Formats
import Objects
import Testing

@testable import APIServer

/// A change of a sound object and what is then wrong with it, as `path: message`.
struct RuleCase: Sendable, CustomTestStringConvertible {
    let name: String
    let change: @Sendable (inout JSON) -> Void
    let faults: [String]

    init(_ name: String, _ faults: [String] = [], _ change: @escaping @Sendable (inout JSON) -> Void) {
        self.name = name
        self.faults = faults
        self.change = change
    }

    var testDescription: String { name }

    /// What the rules of a kind say to the changed object, after its defaults are filled in.
    func found(in sound: JSON, _ plural: String, group: String = "", version: String = "v1") throws -> [String] {
        var tree = sound
        change(&tree)
        let resource = try #require(ResourceTable.resource(group: group, version: version, plural: plural))
        let strategy = StrategyTable.strategy(of: resource)
        var object = Object(tree)
        strategy.setDefaults(&object)
        strategy.prepareForCreate(&object)
        return (strategy.faults(in: object) + strategy.creationFaults(in: object)).map { "\($0.path): \($0.message)" }
    }

    /// What the rules say to the change of a stored object.
    func foundInUpdate(
        of sound: JSON, _ plural: String, group: String = "", version: String = "v1"
    ) throws -> [String] {
        let resource = try #require(ResourceTable.resource(group: group, version: version, plural: plural))
        let strategy = StrategyTable.strategy(of: resource)
        var old = Object(sound)
        strategy.setDefaults(&old)
        strategy.prepareForCreate(&old)
        var tree = old.tree
        change(&tree)
        var new = Object(tree)
        strategy.setDefaults(&new)
        strategy.prepareForUpdate(&new, from: old)
        return strategy.faults(in: new, from: old).map { "\($0.path): \($0.message)" }
    }
}

extension JSON {
    /// Changes the first container of a pod's or template's spec.
    mutating func container(_ change: (inout JSON) -> Void) {
        edit("spec") { spec in
            guard var containers = spec["containers"]?.array else { return }
            change(&containers[0])
            spec["containers"] = .array(containers)
        }
    }
}

@Suite struct PodRuleTests {
    static let sound: JSON = [
        "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "web", "namespace": "default", "uid": "u1"],
        "spec": ["containers": [["name": "main", "image": "nginx:1.27"]]],
    ]

    static let label =
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        + "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

    static let cases: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase("no containers", ["spec.containers: Required value"]) { $0["spec", "containers"] = [] },
        RuleCase("no image", ["spec.containers[0].image: Required value"]) { $0.container { $0["image"] = nil } },
        RuleCase(
            "image with space",
            [
                "spec.containers[0].image: Invalid value: \" nginx\": must not have leading or trailing whitespace"
            ]
        ) { $0.container { $0["image"] = " nginx" } },
        RuleCase("bad container name", ["spec.containers[0].name: Invalid value: \"Main\": \(label)"]) {
            $0.container { $0["name"] = "Main" }
        },
        RuleCase("dotted container name", ["spec.containers[0].name: Invalid value: \"a.b\": must not contain dots"]) {
            $0.container { $0["name"] = "a.b" }
        },
        RuleCase("same container twice", ["spec.containers[1].name: Duplicate value: \"main\""]) {
            $0["spec", "containers"] = [["name": "main", "image": "a"], ["name": "main", "image": "b"]]
        },
        RuleCase("init container with a regular one's name", ["spec.initContainers[0].name: Duplicate value: \"main\""])
        {
            $0["spec", "initContainers"] = [["name": "main", "image": "a"]]
        },
        RuleCase(
            "probe on init container",
            [
                "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always"
            ]
        ) {
            $0["spec", "initContainers"] = [["name": "i", "image": "a", "livenessProbe": ["exec": ["command": ["x"]]]]]
        },
        RuleCase(
            "restart policy",
            [
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\""
            ]
        ) { $0["spec", "restartPolicy"] = "Sometimes" },
        RuleCase(
            "DNS policy",
            [
                "spec.dnsPolicy: Unsupported value: \"X\": supported values: \"ClusterFirstWithHostNet\", \"ClusterFirst\", "
                    + "\"Default\", \"None\""
            ]
        ) { $0["spec", "dnsPolicy"] = "X" },
        RuleCase(
            "pull policy",
            [
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", "
                    + "\"IfNotPresent\", \"Never\""
            ]
        ) { $0.container { $0["imagePullPolicy"] = "Maybe" } },
        RuleCase(
            "container port",
            [
                "spec.containers[0].ports[0].containerPort: Required value",
                "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
                "spec.containers[0].ports[2].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ]
        ) {
            $0.container {
                $0["ports"] = [[:], ["containerPort": 70000], ["containerPort": 1, "protocol": "ICMP"]]
            }
        },
        RuleCase(
            "port name",
            [
                "spec.containers[0].ports[0].name: Invalid value: \"a_name_much_too_long\": must be no more than 15 bytes",
                "spec.containers[0].ports[0].name: Invalid value: \"a_name_much_too_long\": must contain only alpha-numeric "
                    + "characters (a-z, 0-9), and hyphens (-)",
            ]
        ) { $0.container { $0["ports"] = [["containerPort": 1, "name": "a_name_much_too_long"]] } },
        RuleCase("host port twice", ["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//80\""]) {
            $0.container {
                $0["ports"] = [["containerPort": 1, "hostPort": 80], ["containerPort": 2, "hostPort": 80]]
            }
        },
        RuleCase("mount of no volume", ["spec.containers[0].volumeMounts[0].name: Not found: \"data\""]) {
            $0.container { $0["volumeMounts"] = [["name": "data", "mountPath": "/d"]] }
        },
        RuleCase(
            "two mounts at one path",
            [
                "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/d\": must be unique"
            ]
        ) {
            $0["spec", "volumes"] = [["name": "v", "emptyDir": [:]]]
            $0.container {
                $0["volumeMounts"] = [["name": "v", "mountPath": "/d"], ["name": "v", "mountPath": "/d"]]
            }
        },
        RuleCase(
            "volume of two kinds", ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"]
        ) {
            $0["spec", "volumes"] = [["name": "v", "emptyDir": [:], "hostPath": ["path": "/x"]]]
        },
        RuleCase(
            "secret volume",
            [
                "spec.volumes[0].secret.secretName: Required value",
                "spec.volumes[0].secret.items[0].path: Required value",
            ]
        ) { $0["spec", "volumes"] = [["name": "v", "secret": ["items": [["key": "k"]]]]] },
        RuleCase(
            "path out of a volume",
            [
                "spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'"
            ]
        ) {
            $0["spec", "volumes"] = [
                ["name": "v", "configMap": ["name": "c", "items": [["key": "k", "path": "../x"]]]]
            ]
        },
        RuleCase(
            "token that lives too shortly",
            [
                "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify "
                    + "a duration less than 10 minutes"
            ]
        ) {
            $0["spec", "volumes"] = [
                [
                    "name": "v",
                    "projected": ["sources": [["serviceAccountToken": ["path": "t", "expirationSeconds": 60]]]],
                ]
            ]
        },
        RuleCase(
            "environment",
            [
                "spec.containers[0].env[0].name: Required value",
                "spec.containers[0].env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
                "spec.containers[0].env[2].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, "
                    + "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            ]
        ) {
            $0.container {
                $0["env"] = [
                    ["value": "x"],
                    ["name": "A", "value": "x", "valueFrom": ["fieldRef": ["fieldPath": "metadata.name"]]],
                    ["name": "B", "valueFrom": [:]],
                ]
            }
        },
        RuleCase(
            "field path",
            [
                "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"metadata.colour\": error converting "
                    + "fieldPath: field label not supported: metadata.colour",
                "spec.containers[0].env[1].valueFrom.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported "
                    + "values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", "
                    + "\"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
            ]
        ) {
            $0.container {
                $0["env"] = [
                    ["name": "A", "valueFrom": ["fieldRef": ["fieldPath": "metadata.colour"]]],
                    ["name": "B", "valueFrom": ["fieldRef": ["fieldPath": "metadata.labels"]]],
                ]
            }
        },
        RuleCase(
            "probe without handler", ["spec.containers[0].readinessProbe: Required value: must specify a handler type"]
        ) {
            $0.container { $0["readinessProbe"] = ["periodSeconds": 5] }
        },
        RuleCase(
            "probe with two handlers",
            [
                "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
                "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ]
        ) {
            $0.container {
                $0["livenessProbe"] = ["httpGet": ["port": 80], "tcpSocket": ["port": 80], "successThreshold": 2]
            }
        },
        RuleCase(
            "probe port",
            [
                "spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive"
            ]
        ) { $0.container { $0["livenessProbe"] = ["httpGet": ["port": 0]] } },
        RuleCase(
            "sleep longer than grace",
            [
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 60: must be non-negative and less than "
                    + "terminationGracePeriodSeconds (30)"
            ]
        ) { $0.container { $0["lifecycle"] = ["preStop": ["sleep": ["seconds": 60]]] } },
        RuleCase(
            "request above limit",
            [
                "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"
            ]
        ) { $0.container { $0["resources"] = ["limits": ["cpu": "1"], "requests": ["cpu": "2"]] } },
        RuleCase(
            "unknown resource",
            [
                "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully "
                    + "qualified",
                "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
                "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully "
                    + "qualified",
                "spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            ]
        ) { $0.container { $0["resources"] = ["limits": ["gpu": "1"]] } },
        RuleCase(
            "negative memory",
            [
                "spec.containers[0].resources.limits[memory]: Invalid value: \"-1Gi\": must be greater than or equal to 0",
                "spec.containers[0].resources.requests[memory]: Invalid value: \"-1Gi\": must be greater than or equal to 0",
            ]
        ) { $0.container { $0["resources"] = ["limits": ["memory": "-1Gi"]] } },
        RuleCase(
            "half a device",
            [
                "spec.containers[0].resources.limits[acme.io/gpu]: Invalid value: \"500m\": must be an integer",
                "spec.containers[0].resources.requests[acme.io/gpu]: Invalid value: \"500m\": must be an integer",
            ]
        ) {
            $0.container { $0["resources"] = ["limits": ["acme.io/gpu": "500m"], "requests": ["acme.io/gpu": "500m"]] }
        },
        RuleCase(
            "toleration",
            [
                "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means "
                    + "\"match all values and all keys\""
            ]
        ) { $0["spec", "tolerations"] = [["value": "x", "effect": "NoSchedule"]] },
        RuleCase(
            "toleration seconds",
            [
                "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when "
                    + "`tolerationSeconds` is set"
            ]
        ) {
            $0["spec", "tolerations"] = [
                ["key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 1]
            ]
        },
        RuleCase(
            "node affinity",
            [
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: "
                    + "must have at least one node selector term"
            ]
        ) {
            $0["spec", "affinity"] = [
                "nodeAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": ["nodeSelectorTerms": []]]
            ]
        },
        RuleCase(
            "anti-affinity without a topology",
            [
                "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: "
                    + "can not be empty",
                "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "
                    + "\"\": name part must be non-empty",
                "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Invalid value: "
                    + "\"\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
                    + "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
                    + "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ]
        ) {
            $0["spec", "affinity"] = [
                "podAntiAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": [["labelSelector": [:]]]]
            ]
        },
        RuleCase(
            "topology spread",
            [
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"
            ]
        ) {
            $0["spec", "topologySpreadConstraints"] = [
                ["topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": [:]]
            ]
        },
        RuleCase(
            "deadline",
            [
                "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"
            ]
        ) { $0["spec", "activeDeadlineSeconds"] = 0 },
        RuleCase(
            "host alias",
            [
                "spec.hostAliases[0].ip: Invalid value: \"moon\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            ]
        ) { $0["spec", "hostAliases"] = [["ip": "moon", "hostnames": ["a"]]] },
        RuleCase("no DNS", ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"]) {
            $0["spec", "dnsPolicy"] = "None"
        },
        RuleCase("ephemeral container on create", ["spec.ephemeralContainers: Forbidden: cannot be set on create"]) {
            $0["spec", "ephemeralContainers"] = [
                ["name": "e", "image": "a", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"]
            ]
        },
        RuleCase(
            "privileged but not escalating",
            [
                "spec.containers[0].securityContext: Invalid value: {\"privileged\":true,\"allowPrivilegeEscalation\":false}: "
                    + "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            ]
        ) { $0.container { $0["securityContext"] = ["privileged": true, "allowPrivilegeEscalation": false] } },
        RuleCase(
            "user",
            [
                "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"
            ]
        ) { $0["spec", "securityContext"] = ["runAsUser": -1] },
        RuleCase(
            "seccomp",
            [
                "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"
            ]
        ) { $0["spec", "securityContext"] = ["seccompProfile": ["type": "Localhost"]] },
        RuleCase(
            "deletion cost",
            [
                "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"cheap\": must be a 32bit integer"
            ]
        ) { $0["metadata", "annotations"] = ["controller.kubernetes.io/pod-deletion-cost": "cheap"] },
    ]

    @Test(arguments: cases) func podsAreRefused(_ one: RuleCase) throws {
        #expect(try one.found(in: Self.sound, "pods") == one.faults)
    }

    private static let fixed =
        "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
        + "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
        + "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

    static let updates: [RuleCase] = [
        RuleCase("image") { $0.container { $0["image"] = "nginx:2" } },
        RuleCase("deadline where none was") { $0["spec", "activeDeadlineSeconds"] = 5 },
        RuleCase("one more toleration") {
            $0["spec", "tolerations"] = .array(($0["spec", "tolerations"]?.array ?? []) + [["operator": "Exists"]])
        },
        RuleCase(
            "one toleration less",
            [
                "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
            ]
        ) { $0["spec", "tolerations"] = [["operator": "Exists"]] },
        RuleCase("command", [fixed]) { $0.container { $0["command"] = ["x"] } },
        RuleCase("node", [fixed]) { $0["spec", "nodeName"] = "n2" },
        RuleCase("one more container", ["spec.containers: Forbidden: pod updates may not add or remove containers"]) {
            $0["spec", "containers"] = .array(($0["spec", "containers"]?.array ?? []) + [["name": "b", "image": "b"]])
        },
        RuleCase(
            "new gate",
            [
                "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'a/b'"
            ]
        ) { $0["spec", "schedulingGates"] = [["name": "a/b"]] },
    ]

    @Test(arguments: updates) func updatesAreRefused(_ one: RuleCase) throws {
        #expect(try one.foundInUpdate(of: Self.sound, "pods") == one.faults)
    }

    @Test func everyDefaultIsFilledIn() throws {
        var pod = Object(Self.sound)
        pod.tree.container {
            $0["livenessProbe"] = ["httpGet": ["port": 80]]
            $0["ports"] = [["containerPort": 80]]
            $0["resources"] = ["limits": ["cpu": "1"]]
        }
        pod["spec", "volumes"] = [["name": "a"], ["name": "b", "secret": ["secretName": "s"]]]
        let strategy = PodStrategy()
        strategy.setDefaults(&pod)
        strategy.prepareForCreate(&pod)
        let container = try #require(pod["spec", "containers"]?.array?.first)
        #expect(container["imagePullPolicy"] == "IfNotPresent")
        #expect(container["terminationMessagePath"] == "/dev/termination-log")
        #expect(container["livenessProbe", "httpGet"] == ["port": 80, "path": "/", "scheme": "HTTP"])
        #expect(container["livenessProbe", "failureThreshold"] == 3)
        #expect(container["ports"]?.array?.first?["protocol"] == "TCP")
        #expect(container["resources", "requests"] == ["cpu": "1"])
        #expect(pod["spec", "volumes"]?.array?.first?["emptyDir"] == [:])
        #expect(pod["spec", "volumes"]?.array?.last?["secret", "defaultMode"] == 420)
        #expect(pod["spec", "terminationGracePeriodSeconds"] == 30)
        #expect(pod["spec", "enableServiceLinks"] == true)
        #expect(pod["status", "qosClass"] == "Burstable")
        var again = pod
        strategy.setDefaults(&again)
        #expect(again == pod)
    }
}
