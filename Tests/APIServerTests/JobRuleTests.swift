// What the policies and indexes of jobs may not say, in upstream's words (pkg/apis/batch/validation).

import Formats
import Objects
import Testing

@testable import APIServer

@Suite struct JobRuleTests {
    /// One that uses everything and is sound.
    static let job: JSON = [
        "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "once", "namespace": "default", "uid": "u1"],
        "spec": [
            "completionMode": "Indexed", "completions": 5, "parallelism": 2, "backoffLimitPerIndex": 1,
            "maxFailedIndexes": 3, "managedBy": "acme.io/jobs",
            "podFailurePolicy": [
                "rules": [
                    [
                        "action": "FailIndex",
                        "onExitCodes": ["containerName": "main", "operator": "In", "values": [1, 3, 40]],
                    ],
                    ["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget"]]],
                ]
            ],
            "successPolicy": ["rules": [["succeededIndexes": "0,2-4", "succeededCount": 3]]],
            "template": ["spec": ["restartPolicy": "Never", "containers": [["name": "main", "image": "nginx"]]]],
        ],
    ]

    private static let policy = "spec.podFailurePolicy.rules[0]"
    private static let success = "spec.successPolicy.rules[0]"

    private static func code(_ tree: inout JSON, _ change: (inout JSON) -> Void) {
        var rules = tree["spec", "podFailurePolicy", "rules"]?.array ?? []
        change(&rules[0])
        tree["spec", "podFailurePolicy", "rules"] = .array(rules)
    }

    private static func indexes(_ text: JSON, count: JSON? = nil) -> JSON {
        var rule: JSON = ["succeededIndexes": text]
        rule["succeededCount"] = count
        return ["rules": [rule]]
    }

    static let cases: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase(
            "manager",
            [
                "spec.managedBy: Invalid value: \"acme\": must be a domain-prefixed path (such as "
                    + "\"acme.io/foo\")"
            ]
        ) {
            $0["spec", "managedBy"] = "acme"
        },
        RuleCase(
            "more failures than indexes",
            [
                "spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions"
            ]
        ) {
            $0["spec", "maxFailedIndexes"] = 6
        },
        RuleCase(
            "many indexes",
            [
                "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
                "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above "
                    + "100000 and used with backoff limit per index",
            ]
        ) {
            $0["spec", "completions"] = 100_001
            $0["spec", "parallelism"] = 10_001
            $0["spec", "maxFailedIndexes"] = nil
        },
        RuleCase(
            "long name",
            [
                "metadata.name: Invalid value: \"\(String(repeating: "a", count: 62))\": will not able to create pod with "
                    + "invalid DNS label: \(String(repeating: "a", count: 62))-4"
            ]
        ) { $0["metadata", "name"] = .string(String(repeating: "a", count: 62)) },
        RuleCase(
            "exit codes",
            [
                policy
                    + ".onExitCodes.containerName: Invalid value: \"side\": must be one of the container or initContainer "
                    + "names in the pod template",
                policy + ".onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator",
                policy + ".onExitCodes.values[2]: Duplicate value: 0",
                policy + ".onExitCodes.values[2]: Invalid value: 0: must not be 0 for the In operator",
                policy + ".onExitCodes.values: Invalid value: [3,0,0]: must be ordered",
            ]
        ) {
            code(&$0) { $0["onExitCodes"] = ["containerName": "side", "operator": "In", "values": [3, 0, 0]] }
        },
        RuleCase(
            "both", [policy + ": Invalid value: specifying both OnExitCodes and OnPodConditions is not supported"]
        ) { code(&$0) { $0["onPodConditions"] = [["type": "DisruptionTarget"]] } },
        RuleCase(
            "neither", [policy + ": Invalid value: specifying one of OnExitCodes and OnPodConditions is required"]
        ) { code(&$0) { $0["onExitCodes"] = nil } },
        RuleCase(
            "no action",
            [
                policy + ".action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"
            ]
        ) {
            code(&$0) { $0["action"] = nil }
        },
        RuleCase(
            "pods are replaced early",
            [
                "spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported "
                    + "values: \"Failed\""
            ]
        ) {
            $0["spec", "podReplacementPolicy"] = "TerminatingOrFailed"
        },
        RuleCase(
            "restarts",
            [
                "spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is "
                    + "supported when podFailurePolicy is specified"
            ]
        ) {
            $0["spec", "template", "spec", "restartPolicy"] = "OnFailure"
        },
        RuleCase(
            "no success",
            [
                "spec.successPolicy.rules: Required value: at least one rules must be specified when the "
                    + "successPolicy is specified"
            ]
        ) {
            $0["spec", "successPolicy"] = ["rules": []]
        },
        RuleCase(
            "empty success",
            [
                success + ": Required value: at least one of succeededCount or succeededIndexes must be specified"
            ]
        ) {
            $0["spec", "successPolicy"] = ["rules": [[:]]]
        },
        RuleCase(
            "index too large",
            [
                success + ".succeededIndexes: Invalid value: \"1-5\": error parsing succeededIndexes: too large "
                    + "index: \"5\""
            ]
        ) {
            $0["spec", "successPolicy"] = indexes("1-5")
        },
        RuleCase(
            "index falls",
            [
                success + ".succeededIndexes: Invalid value: \"3,1\": error parsing succeededIndexes: "
                    + "non-increasing order, previous: 3, current: 1"
            ]
        ) {
            $0["spec", "successPolicy"] = indexes("3,1")
        },
        RuleCase(
            "more successes than indexes",
            [
                success + ".succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of "
                    + "indexes in the specified succeededIndexes field)"
            ]
        ) {
            $0["spec", "successPolicy"] = indexes("0-1", count: 3)
        },
        RuleCase(
            "success without indexes",
            [
                "spec.successPolicy: Invalid value: {\"rules\":[]}: requires indexed completion mode"
            ]
        ) {
            for field in ["backoffLimitPerIndex", "maxFailedIndexes", "podFailurePolicy", "completionMode"] {
                $0["spec", field] = nil
            }
            $0["spec", "successPolicy"] = ["rules": []]
        },
        RuleCase(
            "own selector",
            [
                "spec.selector: Invalid value: "
                    + "{\"matchLabels\":{\"a\":\"b\",\"batch.kubernetes.io/controller-uid\":\"u1\"}}: "
                    + "`selector` not auto-generated"
            ]
        ) {
            $0["spec", "selector"] = ["matchLabels": ["a": "b"]]
            $0["spec", "template", "metadata"] = ["labels": ["a": "b"]]
        },
        RuleCase(
            "another job's label",
            [
                "spec.template.metadata.labels[job-name]: Invalid value: "
                    + "{\"job-name\":\"other\",\"batch.kubernetes.io/controller-uid\":\"u1\","
                    + "\"controller-uid\":\"u1\",\"batch.kubernetes.io/job-name\":\"once\"}: "
                    + "must be 'once'"
            ]
        ) {
            $0["spec", "template", "metadata"] = ["labels": ["job-name": "other"]]
        },
    ]

    @Test(arguments: cases) func jobsAreRefused(_ one: RuleCase) throws {
        #expect(try one.found(in: Self.job, "jobs", group: "batch").sorted() == one.faults.sorted())
    }

    @Test func cronJobsLeaveSelectorsToTheirJobs() throws {
        let one = RuleCase(
            "",
            [
                "spec.jobTemplate.spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` will be auto-generated",
                "spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\"",
            ]
        ) {
            $0["spec", "jobTemplate", "spec", "selector"] = ["matchLabels": ["a": "b"]]
            $0["spec", "jobTemplate", "spec", "manualSelector"] = true
        }
        #expect(try one.found(in: WorkloadRuleTests.cronJob, "cronjobs", group: "batch") == one.faults)
    }
}
