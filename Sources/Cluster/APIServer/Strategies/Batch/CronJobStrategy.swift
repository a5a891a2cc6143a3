// The rules of CronJobs (upstream: pkg/apis/batch/{v1,validation}).

import Formats
import Objects

struct CronJobStrategy: Strategy {
    /// Names of the jobs are the cron job's with the minute's number behind it.
    static let nameLength = 52

    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }
    var statusKeepsLabels: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            spec.fill("concurrencyPolicy", "Allow")
            spec.fill("suspend", false)
            spec.fill("successfulJobsHistoryLimit", 3)
            spec.fill("failedJobsHistoryLimit", 1)
            spec.edit("jobTemplate") { job in
                job.edit("spec") { spec in spec.edit("template") { $0.edit("spec", PodDefaults.fillSpec) } }
            }
        }
    }

    func creationFaults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let name = root["metadata"]["name"]
            if name.text.utf8.count > Self.nameLength {
                findings.invalid(name, "must be no more than \(Self.nameLength) characters")
            }
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            if findings.needs(spec["schedule"]) {
                if spec["schedule"].text.contains("TZ") {
                    let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
                    findings.invalid(spec["schedule"], why)
                } else if let fault = CronSchedule.fault(in: spec["schedule"].text) {
                    findings.invalid(spec["schedule"], fault)
                }
            }
            findings.isNotNegative(spec["startingDeadlineSeconds"])
            Self.timeZone(spec["timeZone"], &findings)
            findings.isOne(of: ["Allow", "Forbid", "Replace"], spec["concurrencyPolicy"])
            let job = spec["jobTemplate"]["spec"]
            findings.jobSpec(job)
            if job["selector"].exists { findings.invalid(job["selector"], "`selector` will be auto-generated") }
            if job["manualSelector"].isTrue { findings.notSupported(job["manualSelector"], ["nil", "false"]) }
            for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
                findings.isNotNegative(spec[field])
            }
        }
    }

    private static func timeZone(_ field: Field, _ findings: inout Findings) {
        guard field.exists else { return }
        if field.text.isEmpty {
            findings.invalid(field, "timeZone must be nil or non-empty string")
        } else if field.text.lowercased() == "local" {
            let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
            findings.invalid(field, why)
        } else if CivilZone(named: field.text) == nil {
            findings.invalid(field, "unknown time zone \(field.text)")
        }
    }

    func warnings(for object: Object, from old: Object?) -> [String] {
        let template: JSON? = object["spec", "jobTemplate", "spec", "template"]
        let path = ["spec", "jobTemplate", "spec", "template"].reduce(FieldPath.root) { .member($0, $1) }
        return PodWarnings.of(template ?? [:], at: path)
    }
}

/// The grammar of cron schedules (upstream: robfig/cron/v3, parser.go, in its words).
enum CronSchedule {
    private static let fields: [(range: ClosedRange<Int>, names: [String])] = [
        (0...59, []), (0...23, []), (1...31, []),
        (1...12, ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
        (0...6, ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
    ]
    private static let descriptors: Set<String> = [
        "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly",
    ]

    /// What is wrong with a schedule; nil when it can be followed.
    static func fault(in text: String) -> String? {
        if text.isEmpty { return "empty spec string" }
        if text.hasPrefix("@") {
            if descriptors.contains(text) { return nil }
            if text.hasPrefix("@every ") {
                return text.dropFirst(7).wholeMatch(of: /([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+/) != nil
                    ? nil : "failed to parse duration \(text): time: invalid duration \"\(text.dropFirst(7))\""
            }
            return "unrecognized descriptor: \(text)"
        }
        let parts = text.split(whereSeparator: \.isWhitespace).map(String.init)
        if parts.count != fields.count {
            return "expected exactly 5 fields, found \(parts.count): [\(parts.joined(separator: " "))]"
        }
        for (part, field) in zip(parts, fields) {
            for range in part.split(separator: ",").map(String.init) {
                if let fault = fault(inRange: range, field.range, field.names) { return fault }
            }
        }
        return nil
    }

    private static func fault(inRange text: String, _ range: ClosedRange<Int>, _ names: [String]) -> String? {
        let steps = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if steps.count > 2 { return "too many slashes: \(text)" }
        let ends = steps[0].split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        if ends.count > 2 { return "too many hyphens: \(text)" }
        var (first, last) = (range.lowerBound, range.upperBound)
        if steps[0] != "*", steps[0] != "?" {
            for (position, end) in ends.enumerated() {
                guard let number = number(end, range, names) else {
                    return "failed to parse int from \(end): strconv.Atoi: parsing \"\(end)\": invalid syntax"
                }
                if position == 0 { first = number }
                last = number
            }
            if ends.count == 1, steps.count == 2 { last = range.upperBound }
        }
        if first < range.lowerBound {
            return "beginning of range (\(first)) below minimum (\(range.lowerBound)): \(text)"
        }
        if last > range.upperBound { return "end of range (\(last)) above maximum (\(range.upperBound)): \(text)" }
        if first > last { return "beginning of range (\(first)) beyond end of range (\(last)): \(text)" }
        guard steps.count == 2 else { return nil }
        guard let step = Int(steps[1]), step >= 0 else {
            return "failed to parse int from \(steps[1]): strconv.Atoi: parsing \"\(steps[1])\": invalid syntax"
        }
        return step == 0 ? "step of range should be a positive number: \(text)" : nil
    }

    private static func number(_ text: String, _ range: ClosedRange<Int>, _ names: [String]) -> Int? {
        if let position = names.firstIndex(of: text.lowercased()) { return range.lowerBound + position }
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }
}
