// Jobs by script: a small world runs their pods, and every end is counted once.

import Formats
import Objects
import Testing

@testable import Controllers

private struct World {
    var job: Object
    var pods: [Object] = []
    var now = noon
    var notices: [String] = []
    var isExpired = false
    private var serial = 0

    init(_ spec: JSON) {
        job = Thing.workload(.jobs, "pi", spec)
        job.spec["template", "spec", "restartPolicy"] = "Never"
    }

    /// One decision, carried out. Answers what was created and deleted.
    @discardableResult
    mutating func step() -> String {
        var machine = JobMachine(job: job, pods: pods, now: now)
        let decision = machine.decide()
        var words: [String] = []
        for pod in decision.discard {
            remove(pod, withFinalizer: true)
            words.append("discard")
        }
        for pod in decision.delete {
            pods = pods.map { $0.uid == pod.uid ? $0.going(now) : $0 }
            words.append("delete")
        }
        for pod in decision.create {
            serial += 1
            var pod = pod
            pod.name = "pi-\(serial)"
            pods.append(pod.stored(at: now).running("Pending"))
            words.append(pod.completionIndex.map { "create \($0)" } ?? "create")
        }
        job.status = decision.status
        for pod in decision.settled { settle(pod) }
        notices += decision.notices.map(\.reason)
        isExpired = decision.isExpired
        return words.joined(separator: " ")
    }

    private mutating func remove(_ pod: Object, withFinalizer: Bool) { pods.removeAll { $0.uid == pod.uid } }

    private mutating func settle(_ pod: Object) {
        pods = pods.map { each in
            var each = each
            if each.uid == pod.uid { each.finalizers = [] }
            return each
        }
        // A pod that was being deleted is gone with its last finalizer.
        pods.removeAll { $0.uid == pod.uid && $0.isTerminating }
    }

    mutating func end(_ phase: String, code: Int = 1, where matches: (Object) -> Bool = { _ in true }) {
        pods = pods.map { pod in
            guard pod.isPodActive, matches(pod) else { return pod }
            var pod = pod.running(phase)
            pod.status["containerStatuses"] = [
                [
                    "name": "main",
                    "state": [
                        "terminated": [
                            "exitCode": JSON(phase == "Failed" ? code : 0), "finishedAt": .string(now.rfc3339),
                        ]
                    ],
                ]
            ]
            return pod
        }
    }

    mutating func later(_ seconds: Int) { now = now + .seconds(seconds) }

    func condition(_ type: String) -> String {
        let condition = job.condition(type)
        return "\(condition?["status"]?.string ?? "") \(condition?["reason"]?.string ?? "")"
    }
    func count(_ field: String) -> Int { job.status[field]?.integer ?? 0 }
}

@Suite struct JobMachineTests {
    @Test func runsToItsCompletions() {
        var world = World(["completions": 3, "parallelism": 2])
        #expect(world.step() == "create create")
        #expect(world.count("active") == 2)
        #expect(world.job.status["startTime"] == .string(noon.rfc3339))
        #expect(world.pods[0].finalizers == [JobLabel.finalizer])
        #expect(world.pods[0].labels["batch.kubernetes.io/job-name"] == "pi")
        #expect(world.pods[0].labels["controller-uid"] == world.job.uid)
        world.end("Succeeded")
        // The ended ones are noted and counted; one more is wanted.
        #expect(world.step() == "create")
        #expect(world.job.status["uncountedTerminatedPods", "succeeded"]?.array?.count == 2)
        world.step()
        #expect(world.count("succeeded") == 2)
        #expect(world.job.status["uncountedTerminatedPods"] == [:])
        world.end("Succeeded")
        world.step()
        #expect(world.condition("SuccessCriteriaMet") == "True CompletionsReached")
        #expect(world.condition("Complete") == " ")
        world.step()
        #expect(world.count("succeeded") == 3)
        #expect(world.condition("Complete") == "True CompletionsReached")
        #expect(world.job.status["completionTime"] != nil)
        #expect(world.notices == ["Completed"])
        #expect(world.step() == "")
        #expect(world.count("succeeded") == 3)
    }

    @Test func aCrashBetweenStatusAndFinalizerCountsOnce() {
        var world = World(["completions": 2, "parallelism": 1])
        world.step()
        world.end("Succeeded")
        let before = world.pods
        world.step()
        // The finalizer was not removed: the uid is noted and must not be noted or counted again.
        world.pods = before
        world.step()
        #expect(world.count("succeeded") == 0)
        #expect(world.job.status["uncountedTerminatedPods", "succeeded"]?.array?.count == 1)
        world.step()
        #expect(world.count("succeeded") == 1)
    }

    @Test func failuresBackOffAndEndTheJob() {
        var world = World(["backoffLimit": 2])
        for (failure, delay) in [(1, 10), (2, 20)] {
            world.step()
            world.end("Failed")
            world.later(1)
            #expect(world.step() == "", "after failure \(failure)")
            world.later(delay - 2)
            #expect(world.step() == "")
            world.later(1)
            #expect(world.step() == "create")
        }
        world.end("Failed")
        world.step()
        #expect(world.condition("FailureTarget") == "True BackoffLimitExceeded")
        world.step()
        #expect(world.condition("Failed") == "True BackoffLimitExceeded")
        #expect(world.job.condition("Failed")?["message"] == "Job has reached the specified backoff limit")
        #expect(world.count("failed") == 3)
        #expect(world.notices == ["BackoffLimitExceeded"])
    }

    @Test func theDeadlineTakesEverythingDown() {
        var world = World(["parallelism": 2, "completions": 5, "activeDeadlineSeconds": 60])
        world.step()
        world.later(60)
        #expect(world.step() == "delete delete")
        #expect(world.condition("FailureTarget") == "True DeadlineExceeded")
        #expect(world.condition("Failed") == " ")
        for _ in 0..<3 { world.step() }
        #expect(world.condition("Failed") == "True DeadlineExceeded")
        #expect(world.count("failed") == 2)
        #expect(world.count("terminating") == 0)
    }

    @Test func indexesGetOnePodEach() {
        var world = World(["completions": 4, "parallelism": 3, "completionMode": "Indexed"])
        #expect(world.step() == "create 0 create 1 create 2")
        let pod = world.pods[1]
        #expect(pod.annotations["batch.kubernetes.io/job-completion-index"] == "1")
        #expect(pod.spec["hostname"] == "pi-1")
        let variable = pod.spec["containers"]?.array?.first?["env"]?.array?.first
        #expect(variable?["name"] == "JOB_COMPLETION_INDEX")
        world.end("Succeeded") { $0.completionIndex != 1 }
        #expect(world.step() == "create 3")
        #expect(world.job.status["completedIndexes"] == "0,2")
        world.end("Succeeded") { $0.completionIndex == 3 }
        world.later(1)
        world.end("Failed") { $0.completionIndex == 1 }
        #expect(world.step() == "")
        #expect(world.job.status["completedIndexes"] == "0,2,3")
        world.later(10)
        #expect(world.step() == "create 1")
        world.end("Succeeded")
        world.step()
        world.step()
        #expect(world.job.status["completedIndexes"] == "0-3")
        #expect(world.condition("Complete") == "True CompletionsReached")
        #expect(world.count("succeeded") == 4)
        #expect(world.count("failed") == 1)
    }

    @Test func eachIndexHasItsOwnLimit() {
        var world = World([
            "completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
        ])
        world.step()
        world.end("Succeeded") { $0.completionIndex == 0 }
        world.end("Failed")
        world.step()
        world.later(10)
        #expect(world.step() == "create 1")
        #expect(world.pods.last?.annotations[JobLabel.failureCount] == "1")
        world.end("Failed")
        world.step()
        #expect(world.job.status["failedIndexes"] == "1")
        world.step()
        world.step()
        #expect(world.condition("Failed") == "True FailedIndexes")
        #expect(world.job.status["completedIndexes"] == "0")
    }

    @Test func aSuccessPolicyEndsEarly() {
        var world = World([
            "completions": 5, "parallelism": 5, "completionMode": "Indexed",
            "successPolicy": ["rules": [["succeededIndexes": "0-2", "succeededCount": 2]]],
        ])
        world.step()
        world.end("Succeeded") { [0, 2].contains($0.completionIndex) }
        #expect(world.step() == "delete delete delete")
        #expect(world.job.condition("SuccessCriteriaMet")?["message"] == "Matched rules at index 0")
        for _ in 0..<3 { world.step() }
        #expect(world.condition("Complete") == "True SuccessPolicy")
    }

    @Test func theFailurePolicyJudgesExitCodesAndConditions() {
        let policy: JSON = [
            "rules": [
                ["action": "FailJob", "onExitCodes": ["containerName": "main", "operator": "In", "values": [42]]],
                ["action": "Ignore", "onPodConditions": [["type": "DisruptionTarget", "status": "True"]]],
            ]
        ]
        var world = World(["backoffLimit": 0, "podFailurePolicy": policy])
        world.step()
        world.end("Failed")
        world.pods[0].status["conditions"] = [["type": "DisruptionTarget", "status": "True"]]
        world.step()
        world.later(10)
        #expect(world.step() == "create")
        #expect(world.count("failed") == 0)
        world.end("Failed", code: 42)
        world.step()
        #expect(world.condition("FailureTarget") == "True PodFailurePolicy")
        let message = world.job.condition("FailureTarget")?["message"]?.string
        #expect(message == "Container main for pod shop/pi-2 failed with exit code 42 matching FailJob rule at index 0")
    }

    @Test func suspensionTakesPodsAwayWithoutCountingThem() {
        var world = World(["parallelism": 2, "completions": 2])
        world.step()
        world.job.spec["suspend"] = true
        #expect(world.step() == "discard discard")
        #expect(world.condition("Suspended") == "True JobSuspended")
        world.step()
        #expect(world.count("active") == 0)
        world.later(100)
        world.job.spec["suspend"] = false
        #expect(world.step() == "create create")
        #expect(world.condition("Suspended") == "False JobResumed")
        #expect(world.job.status["startTime"] == .string(world.now.rfc3339))
        #expect(world.count("failed") == 0)
        #expect(world.notices == ["Suspended", "Resumed"])
    }

    @Test func aWorkQueueEndsWithItsLastWorker() {
        var world = World(["parallelism": 2])
        world.step()
        world.end("Succeeded") { $0.name == "pi-1" }
        #expect(world.step() == "")
        #expect(world.condition("SuccessCriteriaMet") == " ")
        world.end("Succeeded")
        world.step()
        world.step()
        #expect(world.condition("Complete") == "True CompletionsReached")
    }

    @Test func anEndedJobLivesAsLongAsItMay() {
        var world = World(["ttlSecondsAfterFinished": 100])
        world.step()
        world.end("Succeeded")
        for _ in 0..<3 { world.step() }
        #expect(!world.isExpired)
        world.later(99)
        world.step()
        #expect(!world.isExpired)
        world.later(1)
        world.step()
        #expect(world.isExpired)
    }

    @Test func lessParallelismDiscardsTheLeastMissed() {
        var world = World(["parallelism": 3, "completions": 10])
        world.step()
        world.pods[1] = world.pods[1].running(readySince: noon)
        world.job.spec["parallelism"] = 1
        #expect(world.step() == "discard discard")
        #expect(world.pods.map(\.name) == ["pi-2"])
        #expect(world.count("failed") == 0)
    }

    @Test func indexesAreWrittenAsRuns() {
        var indexes = CompletionIndexes(parsing: "1,3-5,9", limit: 8)
        #expect(indexes.text == "1,3-5")
        indexes.insert(2)
        #expect(indexes.text == "1-5")
        indexes.insert(7)
        indexes.insert(8)
        #expect(indexes.text == "1-5,7,8")
        #expect(indexes.count == 7)
        #expect(indexes.intersection(CompletionIndexes(parsing: "4-7")).text == "4,5,7")
        #expect(CompletionIndexes(parsing: "x,2-1,").text == "")
    }
}
