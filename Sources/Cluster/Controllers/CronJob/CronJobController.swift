// Starts Jobs by the clock.

import Client
import Formats
import Logging
import Objects
import Reconciling

/// The shell of `CronJobMachine`.
package struct CronJobController: Sendable {
    let client: KubernetesClient
    let cronJobs: Informer
    let jobs: Informer
    let recorder: EventRecorder
    let clock: WallClock
    let logger: Logger

    /// Connects the informers to a queue; call it before they run.
    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "cronjob", logger: logger, reconcile: reconcile)
        cronJobs.onChange { reconciler.enqueue($0.key) }
        jobs.onChange { change in
            for job in [change.old, change.new] {
                guard let job, let owner = job.controllerReference, owner.kind == "CronJob" else { continue }
                reconciler.enqueue(ObjectKey(namespace: job.namespace, name: owner.name))
            }
        }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let cronJob = cronJobs.get(key) else { return .done }
        var owned = jobs.indexed(OwnerIndex.name, cronJob.uid)
        owned += try await unseen(of: cronJob, beside: Set(owned.map(\.uid)))
        var machine = CronJobMachine(cronJob: cronJob, jobs: owned, now: clock.now())
        let decision = machine.decide()
        for notice in decision.notices {
            recorder.record(
                cronJob, notice.isWarning ? .warning : .normal, reason: notice.reason, message: notice.message)
        }
        for job in decision.delete { try await delete(job, of: cronJob) }
        var current = cronJob
        if decision.status != cronJob.status {
            current.status = decision.status
            current = try await client.update(.cronJobs, current, subresource: "status")
        }
        if let wanted = decision.create, let moment = decision.scheduledAt {
            try await start(wanted, at: moment, of: current)
        }
        return decision.nextLook.map { .again(after: $0) } ?? .done
    }

    /// Active Jobs that the cache does not show: just made, or gone.
    private func unseen(of cronJob: Object, beside seen: Set<String>) async throws -> [Object] {
        var found: [Object] = []
        for reference in cronJob.status["active"]?.array ?? [] {
            guard let uid = reference["uid"]?.string, !seen.contains(uid), let name = reference["name"]?.string else {
                continue
            }
            do {
                let job = try await client.get(.jobs, ObjectKey(namespace: cronJob.namespace, name: name))
                if job.uid == uid { found.append(job) }
            } catch let problem as Problem where problem.code == 404 {
                continue
            }
        }
        return found
    }

    /// The name holds the moment, so that a Job that was made before a crash is found rather than made twice.
    private func start(_ wanted: Object, at moment: Timestamp, of cronJob: Object) async throws {
        var job = wanted
        do {
            job = try await client.create(.jobs, wanted)
            recorder.record(cronJob, .normal, reason: "SuccessfulCreate", message: "Created job \(job.name)")
        } catch let problem as Problem where problem.reason == .alreadyExists {
            job = try await client.get(.jobs, wanted.key)
            guard job.controllerReference?.uid == cronJob.uid else {
                recorder.record(
                    cronJob, .warning, reason: "FailedCreate", message: "Error creating job: \(problem.message)")
                throw problem
            }
        } catch {
            recorder.record(cronJob, .warning, reason: "FailedCreate", message: "Error creating job: \(error)")
            throw error
        }
        var cronJob = cronJob
        let active = cronJob.status["active"]?.array ?? []
        if !job.isJobFinished, !active.contains(where: { $0["uid"]?.string == job.uid }) {
            cronJob.status["active"] = .array(active + [CronJobMachine.reference(job)])
        }
        cronJob.status["lastScheduleTime"] = .string(moment.rfc3339)
        try await client.update(.cronJobs, cronJob, subresource: "status")
    }

    private func delete(_ job: Object, of cronJob: Object) async throws {
        do {
            try await client.delete(.jobs, job.key, propagation: .background, uid: job.uid)
            recorder.record(cronJob, .normal, reason: "SuccessfulDelete", message: "Deleted job \(job.name)")
        } catch let problem as Problem where problem.code == 404 || problem.code == 409 {
            return
        } catch {
            recorder.record(cronJob, .warning, reason: "FailedDelete", message: "Deleted job: \(error)")
            throw error
        }
    }
}
