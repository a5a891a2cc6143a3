// Decides when a CronJob starts a Job, which old Jobs go, and what its status says.

import Formats
import Objects

/// One look at a CronJob and its Jobs, after `kubernetes/pkg/controller/cronjob/cronjob_controllerv2.go`.
struct CronJobMachine: Sendable {
    /// More missed starts than this are a sign of a wrong clock, and are told of.
    static let missedLimit = 100
    /// A look comes this much after the moment, so that the clock has surely passed it.
    static let lateness = Duration.milliseconds(100)
    static let timestampAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp"

    struct Notice: Sendable, Equatable {
        var isWarning = false
        var reason: String
        var message: String
    }

    struct Decision: Sendable, Equatable {
        /// Ended Jobs beyond the history limits, and running ones that are replaced.
        var delete: [Object] = []
        var create: Object?
        var scheduledAt: Timestamp?
        /// Before the Job of `create` is there.
        var status: JSON = .null
        var notices: [Notice] = []
        var nextLook: Duration?
    }

    let cronJob: Object
    /// The Jobs that it controls.
    let jobs: [Object]
    let now: Timestamp
    private var decision = Decision()

    init(cronJob: Object, jobs: [Object], now: Timestamp) {
        self.cronJob = cronJob
        self.jobs = jobs
        self.now = now
    }

    mutating func decide() -> Decision {
        decision.status = cronJob.status
        followActive()
        trimHistory()
        if cronJob.isTerminating { return decision }
        let name = cronJob.spec["timeZone"]?.string
        guard let zone = name == nil ? .utc : CivilZone(named: name ?? "") else {
            warn("UnknownTimeZone", "invalid timeZone: \"\(name ?? "")\": unknown time zone \(name ?? "")")
            return decision
        }
        if cronJob.spec["suspend"]?.bool == true { return decision }
        let text = cronJob.spec["schedule"]?.string ?? ""
        do throws(FormatProblem) {
            schedule(try CronSchedule(parsing: text), zone)
        } catch {
            warn("UnparseableSchedule", "unparseable schedule: \"\(text)\" : \(error.message)")
        }
        return decision
    }

    private mutating func warn(_ reason: String, _ message: String) {
        decision.notices.append(Notice(isWarning: true, reason: reason, message: message))
    }

    private mutating func say(_ reason: String, _ message: String) {
        decision.notices.append(Notice(reason: reason, message: message))
    }

    // MARK: The Jobs there are

    private var activeReferences: [JSON] { decision.status["active"]?.array ?? [] }

    private mutating func followActive() {
        let known = Set(activeReferences.compactMap { $0["uid"]?.string })
        for job in jobs {
            let isListed = known.contains(job.uid)
            if isListed, job.isJobFinished {
                forget(job.uid)
                let condition = job.isTrue("Complete") ? "Complete" : "Failed"
                say("SawCompletedJob", "Saw completed job: \(job.name), condition: \(condition)")
            } else if !isListed, !job.isJobFinished, !job.isTerminating {
                // Made before a crash, or not by this controller: it runs, so it counts.
                decision.status["active"] = .array(activeReferences + [Self.reference(job)])
            }
            if job.isTrue("Complete"), let end = job.status["completionTime"]?.string, end > lastSuccess {
                decision.status["lastSuccessfulTime"] = .string(end)
            }
        }
        let present = Set(jobs.map(\.uid))
        for reference in activeReferences {
            guard let uid = reference["uid"]?.string, !present.contains(uid) else { continue }
            say("MissingJob", "Active job went missing: \(reference["name"]?.string ?? "")")
            forget(uid)
        }
    }

    private var lastSuccess: String { decision.status["lastSuccessfulTime"]?.string ?? "" }

    private mutating func forget(_ uid: String) {
        decision.status["active"] = .list(activeReferences.filter { $0["uid"]?.string != uid })
    }

    static func reference(_ job: Object) -> JSON {
        [
            "apiVersion": .string(job.apiVersion), "kind": .string(job.kind), "name": .string(job.name),
            "namespace": .string(job.namespace), "uid": .string(job.uid),
            "resourceVersion": .string(job.resourceVersion),
        ]
    }

    private mutating func trimHistory() {
        for (type, field, standard) in [
            ("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1),
        ] {
            let limit = cronJob.spec[field]?.integer ?? standard
            let ended = jobs.filter { $0.isTrue(type) && !$0.isTerminating }
            let oldestFirst = ended.indices.sorted {
                (ended[$0].jobStart, ended[$0].name) < (ended[$1].jobStart, ended[$1].name)
            }
            decision.delete += oldestFirst.prefix(max(0, ended.count - limit)).map { ended[$0] }
        }
    }

    // MARK: The next Job

    private mutating func schedule(_ schedule: CronSchedule, _ zone: CivilZone) {
        let due = mostRecent(schedule, zone)
        lookAgain(schedule, zone)
        guard let due else { return }
        if let deadline = cronJob.spec["startingDeadlineSeconds"]?.integer, due + .seconds(deadline) < now {
            warn("MissSchedule", "Missed scheduled time to start a job: \(due.rfc3339)")
            return
        }
        let name = "\(cronJob.name)-\(due.secondsSinceEpoch / 60)"
        if decision.status["lastScheduleTime"]?.string == due.rfc3339 { return }
        if activeReferences.contains(where: { $0["name"]?.string == name }) { return }
        switch cronJob.spec["concurrencyPolicy"]?.string {
        case "Forbid" where !activeReferences.isEmpty:
            say(
                "JobAlreadyActive",
                "Not starting job because prior execution is running and concurrency policy is Forbid")
            return
        case "Replace":
            let active = Set(activeReferences.compactMap { $0["uid"]?.string })
            decision.delete += jobs.filter { active.contains($0.uid) }
            decision.status["active"] = nil
        default: break
        }
        decision.create = job(named: name, at: due, zone)
        decision.scheduledAt = due
    }

    /// The latest moment of the schedule since the last start that is not in the future; nil when there is none.
    private mutating func mostRecent(_ schedule: CronSchedule, _ zone: CivilZone) -> Timestamp? {
        let last = decision.status["lastScheduleTime"]?.string.flatMap(Timestamp.init(rfc3339:))
        var from = last ?? cronJob.created
        if let deadline = cronJob.spec["startingDeadlineSeconds"]?.integer {
            from = max(from, now - .seconds(deadline))
        }
        var moment = from
        var missed = 0
        while missed <= Self.missedLimit, let next = schedule.next(after: moment, zone: zone), next <= now {
            moment = next
            missed += 1
        }
        if missed > Self.missedLimit {
            warn(
                "TooManyMissedTimes",
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew")
        }
        return schedule.latest(after: from, upTo: now, zone: zone)
    }

    private mutating func lookAgain(_ schedule: CronSchedule, _ zone: CivilZone) {
        guard let next = schedule.next(after: now, zone: zone) else { return }
        decision.nextLook = next - now + Self.lateness
    }

    private func job(named name: String, at moment: Timestamp, _ zone: CivilZone) -> Object {
        let template = cronJob.spec["jobTemplate"] ?? [:]
        var job = Object(.jobs, namespace: cronJob.namespace, name: name)
        job.labels = template["metadata", "labels"]?.stringMap ?? [:]
        job.annotations = template["metadata", "annotations"]?.stringMap ?? [:]
        job.annotations[Self.timestampAnnotation] = zone.rfc3339(moment)
        job.ownerReferences = [OwnerReference(controller: cronJob)]
        job.spec = template["spec"] ?? [:]
        return job
    }
}

extension Object {
    fileprivate var jobStart: Timestamp {
        status["startTime"]?.string.flatMap(Timestamp.init(rfc3339:)) ?? created
    }
}
