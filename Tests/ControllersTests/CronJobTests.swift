// Cron schedules and CronJobs: which moments are named, and what happens at them.

import Formats
import Objects
import Testing

@testable import Controllers

private func time(_ text: String) -> Timestamp {
    Timestamp(rfc3339: text) ?? Timestamp(secondsSinceEpoch: 0)
}

@Suite struct CronScheduleTests {
    @Test(arguments: [
        ("*/15 * * * *", "2025-06-01T08:14:59Z", "2025-06-01T08:15:00Z"),
        ("*/15 * * * *", "2025-06-01T08:15:00Z", "2025-06-01T08:30:00Z"),
        ("0 0 29 2 *", "2025-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("30 4 1,15 * 5", "2025-06-01T05:00:00Z", "2025-06-06T04:30:00Z"),
        ("0 9 * * mon-fri", "2025-06-06T10:00:00Z", "2025-06-09T09:00:00Z"),
        ("0 12 * JAN-MAR ?", "2025-03-31T12:00:00Z", "2026-01-01T12:00:00Z"),
        ("5/20 * * * *", "2025-06-01T08:06:00Z", "2025-06-01T08:25:00Z"),
        ("0 0 */2 * 0", "2025-06-01T00:00:00Z", "2025-06-03T00:00:00Z"),
        ("@hourly", "2025-06-01T08:00:00Z", "2025-06-01T09:00:00Z"),
        ("@weekly", "2025-06-02T00:00:00Z", "2025-06-08T00:00:00Z"),
        ("@yearly", "2025-06-02T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("@every 90s", "2025-06-02T00:00:00Z", "2025-06-02T00:01:30Z"),
    ])
    func theNextMoment(text: String, from: String, expected: String) throws {
        let schedule = try CronSchedule(parsing: text)
        #expect(schedule.next(after: time(from), zone: .utc)?.rfc3339 == expected)
    }

    @Test(arguments: [
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *",
        "*/0 * * * *", "a * * * *", "1/2/3 * * * *", "1-2-3 * * * *", "@fortnightly", "@every", "@every x",
        "-1 * * * *",
    ])
    func wrongTextsAreRefused(text: String) {
        #expect(throws: FormatProblem.self) { try CronSchedule(parsing: text) }
    }

    @Test func aDayThatNeverIsHasNoMoment() throws {
        #expect(try CronSchedule(parsing: "0 0 30 2 *").next(after: noon, zone: .utc) == nil)
    }

    @Test func clocksThatChange() throws {
        let berlin = try #require(CivilZone(named: "Europe/Berlin"))
        let nightly = try CronSchedule(parsing: "30 2 * * *")
        // 30 March 2025: the clocks go from 2:00 to 3:00, so there is no 2:30.
        let spring = nightly.next(after: time("2025-03-29T12:00:00Z"), zone: berlin)
        #expect(spring?.rfc3339 == "2025-03-31T00:30:00Z")
        // 26 October 2025: 2:30 comes twice; the first one counts.
        let autumn = nightly.next(after: time("2025-10-25T12:00:00Z"), zone: berlin)
        #expect(autumn?.rfc3339 == "2025-10-26T00:30:00Z")
        #expect(nightly.next(after: autumn ?? noon, zone: berlin)?.rfc3339 == "2025-10-27T01:30:00Z")
        #expect(berlin.rfc3339(time("2025-07-01T10:00:00Z")) == "2025-07-01T12:00:00+02:00")
        #expect(CivilZone(named: "Mars/Olympus") == nil)
        #expect(CivilZone(named: "Japan")?.offsetSeconds(at: Timestamp(secondsSinceEpoch: 0)) == 9 * 3600)
        #expect(CivilZone(named: "EST5EDT") != nil && CivilZone(named: "Etc/GMT+3") != nil)
        #expect(CivilZone(named: "CEST") == nil && CivilZone(named: "../etc/passwd") == nil)
        #expect(CivilZone(named: "") == nil)
    }

    @Test func theLatestMomentIsFoundHoweverLongAgo() throws {
        let zone = CivilZone.utc
        let yearly = try CronSchedule(parsing: "0 0 1 1 *")
        let latest = yearly.latest(after: time("2019-06-01T00:00:00Z"), upTo: time("2025-06-01T00:00:00Z"), zone: zone)
        #expect(latest?.rfc3339 == "2025-01-01T00:00:00Z")
        #expect(
            yearly.latest(after: time("2025-02-01T00:00:00Z"), upTo: time("2025-06-01T00:00:00Z"), zone: zone) == nil)
        let every = try CronSchedule(parsing: "@every 1h")
        let beat = every.latest(after: time("2025-01-01T00:30:00Z"), upTo: time("2025-01-01T05:00:00Z"), zone: zone)
        #expect(beat?.rfc3339 == "2025-01-01T04:30:00Z")
    }
}

@Suite struct CronJobMachineTests {
    private func cronJob(_ spec: JSON = [:], last: String? = nil) -> Object {
        var object = Object(.cronJobs, namespace: "shop", name: "report")
        object.spec = ["schedule": "0 * * * *", "jobTemplate": ["spec": ["template": Thing.template()]]]
        for member in spec.object ?? JSONObject() { object.spec[member.key] = member.value }
        var stored = object.stored(at: time("2025-06-01T06:30:00Z"))
        if let last { stored.status["lastScheduleTime"] = .string(last) }
        return stored
    }

    private func job(_ name: String, of cronJob: Object, ended: String? = nil, at start: String) -> Object {
        var job = Object(.jobs, namespace: "shop", name: name).stored(at: time(start)).owned(by: cronJob)
        job.status["startTime"] = .string(start)
        if let ended {
            job.status["conditions"] = [["type": .string(ended), "status": "True"]]
            if ended == "Complete" { job.status["completionTime"] = .string(start) }
        }
        return job
    }

    private func decide(_ cronJob: Object, _ jobs: [Object] = [], at now: String) -> CronJobMachine.Decision {
        var machine = CronJobMachine(cronJob: cronJob, jobs: jobs, now: time(now))
        return machine.decide()
    }

    @Test func startsAtTheHour() {
        let early = decide(cronJob(), at: "2025-06-01T06:59:59Z")
        #expect(early.create == nil)
        #expect(early.nextLook == .milliseconds(1100))
        let due = decide(cronJob(), at: "2025-06-01T07:00:01Z")
        #expect(due.create?.name == "report-\(time("2025-06-01T07:00:00Z").secondsSinceEpoch / 60)")
        #expect(due.create?.annotations[CronJobMachine.timestampAnnotation] == "2025-06-01T07:00:00Z")
        #expect(due.create?.controllerReference?.kind == "CronJob")
        #expect(due.scheduledAt == time("2025-06-01T07:00:00Z"))
        #expect(decide(cronJob(last: "2025-06-01T07:00:00Z"), at: "2025-06-01T07:00:05Z").create == nil)
    }

    @Test func theZoneDecidesWhatHourItIs() {
        let zoned = cronJob(["schedule": "0 9 * * *", "timeZone": "Asia/Shanghai"])
        let due = decide(zoned, at: "2025-06-02T01:00:00Z")
        #expect(due.create?.annotations[CronJobMachine.timestampAnnotation] == "2025-06-02T09:00:00+08:00")
        let wrong = decide(cronJob(["timeZone": "Nowhere/City"]), at: "2025-06-02T01:00:00Z")
        #expect(wrong.create == nil)
        #expect(wrong.notices.map(\.reason) == ["UnknownTimeZone"])
        #expect(
            decide(cronJob(["schedule": "x"]), at: "2025-06-02T01:00:00Z").notices.first?.reason
                == "UnparseableSchedule")
        #expect(decide(cronJob(["suspend": true]), at: "2025-06-02T01:00:00Z").create == nil)
    }

    @Test func concurrencyPolicies() {
        var owner = cronJob(last: "2025-06-01T07:00:00Z")
        let running = job("report-1", of: owner, at: "2025-06-01T07:00:00Z")
        owner.status["active"] = [CronJobMachine.reference(running)]
        let now = "2025-06-01T08:00:01Z"
        #expect(decide(owner, [running], at: now).create != nil)
        owner.spec["concurrencyPolicy"] = "Forbid"
        let forbidden = decide(owner, [running], at: now)
        #expect(forbidden.create == nil)
        #expect(forbidden.notices.map(\.reason) == ["JobAlreadyActive"])
        owner.spec["concurrencyPolicy"] = "Replace"
        let replaced = decide(owner, [running], at: now)
        #expect(replaced.delete.map(\.name) == ["report-1"])
        #expect(replaced.create != nil)
        #expect(replaced.status["active"] == nil)
    }

    @Test func lateStartsAreMissedOrMadeUp() {
        let owner = cronJob(["startingDeadlineSeconds": 600], last: "2025-06-01T07:00:00Z")
        #expect(decide(owner, at: "2025-06-01T08:09:00Z").create != nil)
        #expect(decide(owner, at: "2025-06-01T08:11:00Z").create == nil)
        // Without a deadline the latest missed one is made up, however many there were.
        let minutely = decide(cronJob(["schedule": "* * * * *"]), at: "2025-06-01T12:00:30Z")
        #expect(minutely.scheduledAt == time("2025-06-01T12:00:00Z"))
        #expect(minutely.notices.map(\.reason) == ["TooManyMissedTimes"])
    }

    @Test func historyAndActiveJobs() {
        var owner = cronJob(["suspend": true, "successfulJobsHistoryLimit": 1])
        let jobs = [
            job("a", of: owner, ended: "Complete", at: "2025-06-01T01:00:00Z"),
            job("b", of: owner, ended: "Complete", at: "2025-06-01T02:00:00Z"),
            job("c", of: owner, ended: "Failed", at: "2025-06-01T03:00:00Z"),
            job("d", of: owner, at: "2025-06-01T04:00:00Z"),
        ]
        var gone = CronJobMachine.reference(jobs[3])
        gone["uid"] = "gone"
        owner.status["active"] = [CronJobMachine.reference(jobs[1]), gone]
        let decision = decide(owner, jobs, at: "2025-06-01T05:00:00Z")
        #expect(decision.delete.map(\.name) == ["a"])
        #expect(decision.status["active"]?.array?.compactMap { $0["name"]?.string } == ["d"])
        #expect(decision.status["lastSuccessfulTime"] == "2025-06-01T02:00:00Z")
        #expect(decision.notices.map(\.reason) == ["SawCompletedJob", "MissingJob"])
    }
}
