// What workloads may not be, in upstream's words.

import Formats
import Objects
import Testing

@testable import APIServer

@Suite struct WorkloadRuleTests {
    static func workload(_ kind: String, _ version: String, _ more: JSON = [:]) -> JSON {
        var spec: JSON = [
            "selector": ["matchLabels": ["app": "web"]],
            "template": [
                "metadata": ["labels": ["app": "web"]], "spec": ["containers": [["name": "main", "image": "nginx"]]],
            ],
        ]
        for member in more.object ?? JSONObject() { spec[member.key] = member.value }
        return [
            "apiVersion": .string(version), "kind": .string(kind),
            "metadata": ["name": "web", "namespace": "default", "uid": "u1"], "spec": spec,
        ]
    }

    static let deployments: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase("replicas", ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]) {
            $0["spec", "replicas"] = -1
        },
        RuleCase("no selector", ["spec.selector: Required value"]) { $0["spec", "selector"] = nil },
        RuleCase("empty selector", ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]) {
            $0["spec", "selector"] = [:]
        },
        RuleCase(
            "selector of other pods",
            [
                "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`"
            ]
        ) { $0["spec", "selector"] = ["matchLabels": ["app": "api"]] },
        RuleCase(
            "selector operator",
            ["spec.selector.matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator"]
        ) {
            $0["spec", "selector", "matchExpressions"] = [["key": "a", "operator": "Is"]]
        },
        RuleCase(
            "template label",
            [
                "spec.template.labels: Invalid value: \"a b\": a valid label must be an empty string or consist of "
                    + "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
                    + "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
                    + "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ]
        ) { $0["spec", "template", "metadata", "labels", "b"] = "a b" },
        RuleCase(
            "restart policy",
            [
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""
            ]
        ) { $0["spec", "template", "spec", "restartPolicy"] = "Never" },
        RuleCase("no image", ["spec.template.spec.containers[0].image: Required value"]) {
            $0["spec", "template", "spec", "containers"] = [["name": "a"]]
        },
        RuleCase(
            "strategy",
            [
                "spec.strategy: Unsupported value: {\"type\":\"Fast\"}: supported values: \"Recreate\", \"RollingUpdate\""
            ]
        ) { $0["spec", "strategy"] = ["type": "Fast"] },
        RuleCase(
            "rolling update of Recreate",
            [
                "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"
            ]
        ) { $0["spec", "strategy"] = ["type": "Recreate", "rollingUpdate": ["maxSurge": 1]] },
        RuleCase(
            "nothing may move",
            [
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"
            ]
        ) { $0["spec", "strategy"] = ["rollingUpdate": ["maxSurge": "0%", "maxUnavailable": 0]] },
        RuleCase(
            "percentages",
            [
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"half\": \(Findings.percentMessage)"
            ]
        ) { $0["spec", "strategy"] = ["rollingUpdate": ["maxUnavailable": "half"]] },
        RuleCase(
            "more than all",
            [
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"120%\": must not be greater than 100%"
            ]
        ) { $0["spec", "strategy"] = ["rollingUpdate": ["maxUnavailable": "120%"]] },
        RuleCase("deadline", ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"]) {
            $0["spec", "progressDeadlineSeconds"] = 5
            $0["spec", "minReadySeconds"] = 10
        },
    ]

    @Test(arguments: deployments) func deploymentsAreRefused(_ one: RuleCase) throws {
        let found = try one.found(in: Self.workload("Deployment", "apps/v1"), "deployments", group: "apps")
        #expect(found == one.faults)
    }

    static let statefulSets: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase(
            "management", ["spec.podManagementPolicy: Invalid value: \"Wild\": must be 'OrderedReady' or 'Parallel'"]
        ) {
            $0["spec", "podManagementPolicy"] = "Wild"
        },
        RuleCase(
            "partition",
            [
                "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0"
            ]
        ) { $0["spec", "updateStrategy"] = ["type": "RollingUpdate", "rollingUpdate": ["partition": -1]] },
        RuleCase(
            "update strategy",
            [
                "spec.updateStrategy: Invalid value: {\"type\":\"X\"}: must be 'RollingUpdate' or 'OnDelete'"
            ]
        ) { $0["spec", "updateStrategy"] = ["type": "X"] },
        RuleCase(
            "rolling update of OnDelete",
            [
                "spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy 'RollingUpdate'"
            ]
        ) { $0["spec", "updateStrategy"] = ["type": "OnDelete", "rollingUpdate": ["partition": 1]] },
        RuleCase(
            "claim retention",
            [
                "spec.persistentVolumeClaimRetentionPolicy.whenScaled: Unsupported value: \"Keep\": supported values: "
                    + "\"Retain\", \"Delete\""
            ]
        ) { $0["spec", "persistentVolumeClaimRetentionPolicy"] = ["whenScaled": "Keep"] },
    ]

    @Test(arguments: statefulSets) func statefulSetsAreRefused(_ one: RuleCase) throws {
        let found = try one.found(in: Self.workload("StatefulSet", "apps/v1"), "statefulsets", group: "apps")
        #expect(found == one.faults)
    }

    static let daemonSets: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase(
            "both ways",
            [
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"
            ]
        ) { $0["spec", "updateStrategy"] = ["rollingUpdate": ["maxSurge": 1, "maxUnavailable": 1]] },
        RuleCase(
            "neither way",
            [
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"
            ]
        ) { $0["spec", "updateStrategy"] = ["rollingUpdate": ["maxSurge": 0, "maxUnavailable": 0]] },
        RuleCase(
            "deadline",
            [
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported"
            ]
        ) { $0["spec", "template", "spec", "activeDeadlineSeconds"] = 5 },
    ]

    @Test(arguments: daemonSets) func daemonSetsAreRefused(_ one: RuleCase) throws {
        let found = try one.found(in: Self.workload("DaemonSet", "apps/v1"), "daemonsets", group: "apps")
        #expect(found == one.faults)
    }

    static let job: JSON = [
        "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "once", "namespace": "default", "uid": "u1"],
        "spec": [
            "template": ["spec": ["restartPolicy": "Never", "containers": [["name": "main", "image": "nginx"]]]]
        ],
    ]

    static let jobs: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase(
            "restart policy",
            [
                "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
            ]
        ) { $0["spec", "template", "spec", "restartPolicy"] = nil },
        RuleCase("negative", ["spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0"]) {
            $0["spec", "backoffLimit"] = -1
        },
        RuleCase(
            "indexed without completions",
            [
                "spec.completions: Required value: when completion mode is Indexed"
            ]
        ) {
            $0["spec", "completionMode"] = "Indexed"
            $0["spec", "parallelism"] = 2
        },
        RuleCase("manual selector", ["spec.selector: Required value"]) { $0["spec", "manualSelector"] = true },
        RuleCase(
            "per index without indexes",
            [
                "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"
            ]
        ) { $0["spec", "backoffLimitPerIndex"] = 1 },
    ]

    @Test(arguments: jobs) func jobsAreRefused(_ one: RuleCase) throws {
        #expect(try one.found(in: Self.job, "jobs", group: "batch") == one.faults)
    }

    static let jobUpdates: [RuleCase] = [
        RuleCase("parallelism") { $0["spec", "parallelism"] = 3 },
        RuleCase("completions", ["spec.completions: Invalid value: 3: field is immutable"]) {
            $0["spec", "completions"] = 3
        },
        RuleCase("mode", ["spec.completionMode: Invalid value: \"Indexed\": field is immutable"]) {
            $0["spec", "completionMode"] = "Indexed"
        },
    ]

    @Test(arguments: jobUpdates) func jobsStayWhatTheyAre(_ one: RuleCase) throws {
        #expect(try one.foundInUpdate(of: Self.job, "jobs", group: "batch") == one.faults)
    }

    @Test func aJobIsToldByItsUID() {
        var job = Object(Self.job)
        let strategy = JobStrategy()
        strategy.setDefaults(&job)
        strategy.prepareForCreate(&job)
        #expect(job["spec", "selector"] == ["matchLabels": ["batch.kubernetes.io/controller-uid": "u1"]])
        #expect(
            job["spec", "template", "metadata", "labels"]?.stringMap == [
                "batch.kubernetes.io/controller-uid": "u1", "controller-uid": "u1",
                "batch.kubernetes.io/job-name": "once", "job-name": "once",
            ])
        #expect(job["spec", "completions"] == 1)
        #expect(job["spec", "backoffLimit"] == 6)
    }

    static let cronJob: JSON = [
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": ["name": "nightly", "namespace": "default"],
        "spec": ["schedule": "0 3 * * *", "jobTemplate": ["spec": job["spec"] ?? [:]]],
    ]

    static let cronJobs: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase("no schedule", ["spec.schedule: Required value"]) { $0["spec", "schedule"] = "" },
        RuleCase(
            "three fields",
            [
                "spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: [* * *]"
            ]
        ) { $0["spec", "schedule"] = "* * *" },
        RuleCase(
            "minute 61",
            [
                "spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61"
            ]
        ) { $0["spec", "schedule"] = "61 * * * *" },
        RuleCase(
            "a word",
            [
                "spec.schedule: Invalid value: \"x * * * *\": failed to parse int from x: strconv.Atoi: parsing \"x\": invalid "
                    + "syntax"
            ]
        ) { $0["spec", "schedule"] = "x * * * *" },
        RuleCase("names and steps") { $0["spec", "schedule"] = "*/15 8-18 ? jan-mar mon,fri" },
        RuleCase("descriptor") { $0["spec", "schedule"] = "@hourly" },
        RuleCase(
            "concurrency",
            [
                "spec.concurrencyPolicy: Unsupported value: \"X\": supported values: \"Allow\", \"Forbid\", \"Replace\""
            ]
        ) { $0["spec", "concurrencyPolicy"] = "X" },
        RuleCase("zone", ["spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"]) {
            $0["spec", "timeZone"] = ""
        },
        RuleCase(
            "long name",
            [
                "metadata.name: Invalid value: \"\(String(repeating: "a", count: 53))\": must be no more than 52 characters"
            ]
        ) { $0["metadata", "name"] = .string(String(repeating: "a", count: 53)) },
        RuleCase(
            "job in it",
            [
                "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
            ]
        ) { $0["spec", "jobTemplate", "spec", "template", "spec", "restartPolicy"] = "Always" },
    ]

    @Test(arguments: cronJobs) func cronJobsAreRefused(_ one: RuleCase) throws {
        #expect(try one.found(in: Self.cronJob, "cronjobs", group: "batch") == one.faults)
    }

    static let autoscaler: JSON = [
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": ["name": "web", "namespace": "default"],
        "spec": ["scaleTargetRef": ["kind": "Deployment", "name": "web"], "maxReplicas": 3],
    ]

    static let autoscalers: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase("no target", ["spec.scaleTargetRef.name: Required value"]) {
            $0["spec", "scaleTargetRef"] = ["kind": "Deployment"]
        },
        RuleCase(
            "least above most",
            [
                "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"
            ]
        ) { $0["spec", "minReplicas"] = 5 },
        RuleCase(
            "no most",
            [
                "spec.maxReplicas: Invalid value: 0: must be greater than 0",
                "spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
            ]
        ) { $0["spec", "maxReplicas"] = nil },
        RuleCase(
            "metric without source",
            [
                "spec.metrics[0].resource: Required value: must populate information for the given metric source"
            ]
        ) { $0["spec", "metrics"] = [["type": "Resource"]] },
        RuleCase(
            "no such metric",
            [
                "spec.metrics[0].type: Unsupported value: \"Moon\": supported values: \"ContainerResource\", \"External\", "
                    + "\"Object\", \"Pods\", \"Resource\""
            ]
        ) { $0["spec", "metrics"] = [["type": "Moon"]] },
        RuleCase(
            "no target value",
            [
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a "
                    + "target utilization"
            ]
        ) {
            $0["spec", "metrics"] = [
                ["type": "Resource", "resource": ["name": "cpu", "target": ["type": "Utilization"]]]
            ]
        },
        RuleCase(
            "policy",
            [
                "spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 2000: must be less than or equal to 1800"
            ]
        ) {
            $0["spec", "behavior"] = [
                "scaleUp": ["policies": [["type": "Pods", "value": 1, "periodSeconds": 2000]]]
            ]
        },
    ]

    @Test(arguments: autoscalers) func autoscalersAreRefused(_ one: RuleCase) throws {
        let found = try one.found(in: Self.autoscaler, "horizontalpodautoscalers", group: "autoscaling", version: "v2")
        #expect(found == one.faults)
    }

    static let budgets: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase(
            "both",
            [
                "spec: Invalid value: {\"minAvailable\":1,\"maxUnavailable\":1}: minAvailable and maxUnavailable cannot be both set"
            ]
        ) { $0["spec"] = ["minAvailable": 1, "maxUnavailable": 1] },
        RuleCase("negative", ["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"]) {
            $0["spec", "minAvailable"] = -1
        },
    ]

    @Test(arguments: budgets) func budgetsAreRefused(_ one: RuleCase) throws {
        let sound: JSON = ["metadata": ["name": "b"], "spec": ["minAvailable": 1]]
        #expect(try one.found(in: sound, "poddisruptionbudgets", group: "policy") == one.faults)
    }

    @Test func aStatefulSetKeepsItsServiceName() throws {
        let change = RuleCase("service name") { $0["spec", "serviceName"] = "other" }
        let found = try change.foundInUpdate(of: Self.workload("StatefulSet", "apps/v1"), "statefulsets", group: "apps")
        #expect(
            found == [
                "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                    + "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                    + "'minReadySeconds' are forbidden"
            ])
    }

    @Test(arguments: [("Deployment", "deployments"), ("ReplicaSet", "replicasets"), ("DaemonSet", "daemonsets")])
    func selectorsAreImmutable(kind: String, plural: String) throws {
        let change = RuleCase("selector") { $0["spec", "selector"] = ["matchLabels": ["app": "api"]] }
        let found = try change.foundInUpdate(of: Self.workload(kind, "apps/v1"), plural, group: "apps")
        #expect(found == ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"api\"}}: field is immutable"])
    }
}
