// Runs Jobs to their end.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `JobMachine`.
package struct JobController: Sendable {
    let client: KubernetesClient
    let jobs: Informer
    let pods: Informer
    let recorder: EventRecorder
    let clock: WallClock
    let logger: Logger
    private let control: PodControl

    init(
        client: KubernetesClient, jobs: Informer, pods: Informer, recorder: EventRecorder, clock: WallClock,
        logger: Logger
    ) {
        self.client = client
        self.jobs = jobs
        self.pods = pods
        self.recorder = recorder
        self.clock = clock
        self.logger = logger
        control = PodControl(client: client, recorder: recorder, clock: clock)
    }

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "job", logger: logger, reconcile: reconcile)
        PodSightings(owners: jobs, pods: pods, expectations: control.expectations).connect(to: reconciler)
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        let job = jobs.get(key)
        try await releaseOrphans(of: key, except: job?.uid)
        guard let job else { return .done }
        let wishes = JobWishes(job: job)
        guard wishes.isOurs else { return .done }
        let isCacheCurrent = control.isCacheCurrent(for: key)
        let claim = Claim(owner: job, selector: wishes.selector, candidates: pods.candidates(for: job))
        let owned = try await Adoption(client: client, owners: .jobs, resource: .pods).perform(claim, by: job)
        var machine = JobMachine(job: job, pods: owned, now: clock.now())
        let decision = machine.decide(mayManage: isCacheCurrent)
        if decision.isExpired {
            try await client.delete(
                .jobs, key, propagation: .foreground, uid: job.uid, resourceVersion: job.resourceVersion)
            return .done
        }
        try await perform(decision, on: job)
        if !isCacheCurrent { return .again(after: .seconds(ExpectationsMachine.timeoutSeconds + 1)) }
        return decision.nextLook.map { .again(after: max(.zero, $0) + .milliseconds(500)) } ?? .done
    }

    private func perform(_ decision: JobMachine.Decision, on job: Object) async throws {
        var decision = decision
        // Their end counts for nothing, so nothing must wait for it.
        for pod in decision.discard { try await removeFinalizer(from: pod) }
        let doomed = decision.discard + decision.delete
        if !doomed.isEmpty { try await control.delete(doomed, of: job) }
        var failure: (any Error)?
        if !decision.create.isEmpty {
            let creation = await control.create(decision.create, for: job)
            failure = creation.failure
            let missing = decision.create.count - creation.created.count
            decision.status["active"] = .count(max(0, (decision.status["active"]?.integer ?? 0) - missing))
        }
        if decision.status != job.status {
            var job = job
            job.status = decision.status
            try await client.update(.jobs, job, subresource: "status")
        }
        for notice in decision.notices {
            recorder.record(
                job, notice.isWarning ? .warning : .normal, reason: notice.reason, message: notice.message)
        }
        // Only what the stored status notes may lose its finalizer.
        for pod in decision.settled { try await removeFinalizer(from: pod) }
        if let failure { throw failure }
    }

    /// Pods of a Job that is gone, or was replaced by another of its name, wait for nobody.
    private func releaseOrphans(of key: ObjectKey, except uid: String?) async throws {
        for pod in pods.list(namespace: key.namespace) where pod.hasJobFinalizer {
            guard let owner = pod.controllerReference else {
                if uid == nil, pod.labels[JobLabel.jobName] == key.name { try await removeFinalizer(from: pod) }
                continue
            }
            if owner.kind == "Job", owner.name == key.name, owner.uid != uid { try await removeFinalizer(from: pod) }
        }
    }

    private func removeFinalizer(from pod: Object) async throws {
        guard pod.hasJobFinalizer else { return }
        let left = pod.finalizers.filter { $0 != JobLabel.finalizer }
        do {
            try await client.patch(
                .pods, pod.key, .merge,
                [
                    "metadata": [
                        "uid": .string(pod.uid), "resourceVersion": .string(pod.resourceVersion),
                        "finalizers": left.isEmpty ? .null : .array(left.map { .string($0) }),
                    ]
                ])
        } catch let problem as Problem where problem.code == 404 {
            return
        }
    }
}
