// What a job's spec may say, by itself and in the template of a CronJob (upstream: pkg/apis/batch/validation).

import Formats
import Objects

extension Findings {
    private static let indexedParallelism = 100_000
    private static let failedIndexes = 100_000
    /// Above so many completions with a limit per index the other limits are a tenth.
    private static let manyCompletions = 100_000
    private static let manyLimit = 10_000
    private static let policyRules = 20
    private static let exitCodes = 255
    private static let managerBytes = 63
    private static let restarts = "valid values: \"OnFailure\", \"Never\""

    mutating func jobSpec(_ spec: Field) {
        let counts = [
            "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
            "backoffLimitPerIndex", "maxFailedIndexes",
        ]
        for count in counts { isNotNegative(spec[count]) }
        if spec["maxFailedIndexes"].exists, !spec["backoffLimitPerIndex"].exists {
            required(spec["backoffLimitPerIndex"], "when maxFailedIndexes is specified")
        }
        jobManager(spec["managedBy"])
        completionMode(spec)
        podFailurePolicy(spec["podFailurePolicy"], of: spec)
        successPolicy(spec["successPolicy"], of: spec)
        if spec["podReplacementPolicy"].exists {
            let policies = spec["podFailurePolicy"].exists ? ["Failed"] : ["Failed", "TerminatingOrFailed"]
            isOne(of: policies, spec["podReplacementPolicy"])
        }
        podTemplate(spec["template"])
        let policy = spec["template"]["spec"]["restartPolicy"]
        if policy.text == "Always" {
            required(policy, Self.restarts)
        } else if !policy.text.isEmpty, policy.text != "Never", policy.text != "OnFailure" {
            notSupported(policy, ["OnFailure", "Never"])
        } else if spec["podFailurePolicy"].exists, policy.text != "Never" {
            invalid(policy, "only \"Never\" is supported when podFailurePolicy is specified")
        }
    }

    private mutating func jobManager(_ field: Field) {
        guard field.exists else { return }
        domainPrefixedPath(field)
        if field.text.utf8.count > Self.managerBytes { tooLong(field, bytes: Self.managerBytes) }
    }

    private mutating func completionMode(_ spec: Field) {
        isOne(of: ["NonIndexed", "Indexed"], spec["completionMode"], isRequired: spec["completionMode"].exists)
        let failed = spec["maxFailedIndexes"]
        switch spec["completionMode"].text {
        case "Indexed": indexed(spec, failed)
        case "", "NonIndexed":
            for field in [spec["backoffLimitPerIndex"], failed] where field.exists {
                invalid(field, "requires indexed completion mode")
            }
        default: break
        }
    }

    private mutating func indexed(_ spec: Field, _ failed: Field) {
        func isAbove(_ field: Field, _ limit: Int) -> Bool { field.exists && field.number > limit }
        let (completions, parallelism) = (spec["completions"], spec["parallelism"])
        if !completions.exists { required(completions, "when completion mode is Indexed") }
        if isAbove(parallelism, Self.indexedParallelism) {
            invalid(parallelism, "must be less than or equal to 100000 when completion mode is Indexed")
        }
        if completions.exists, isAbove(failed, completions.number) {
            invalid(failed, "must be less than or equal to completions")
        }
        if isAbove(failed, Self.failedIndexes) { invalid(failed, "must be less than or equal to 100000") }
        guard isAbove(completions, Self.manyCompletions), spec["backoffLimitPerIndex"].exists else { return }
        if !failed.exists { required(failed, "must be specified when completions is above 100000") }
        for field in [parallelism, failed] where isAbove(field, Self.manyLimit) {
            invalid(
                field,
                "must be less than or equal to 10000 when completions are above 100000 and used with backoff "
                    + "limit per index")
        }
    }

    // MARK: Policies

    private mutating func podFailurePolicy(_ field: Field, of spec: Field) {
        guard field.exists else { return }
        let rules = field["rules"]
        if rules.count > Self.policyRules { tooMany(rules, limit: Self.policyRules) }
        let pod = spec["template"]["spec"]
        let containers = Set((pod["containers"].elements + pod["initContainers"].elements).map { $0["name"].text })
        for rule in rules.elements {
            let action = rule["action"]
            if action.text.isEmpty {
                required(action, "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]")
            } else if action.text == "FailIndex", !spec["backoffLimitPerIndex"].exists {
                invalid(action, "requires the backoffLimitPerIndex to be set")
            } else {
                isOne(of: ["Count", "FailIndex", "FailJob", "Ignore"], action)
            }
            let (codes, conditions) = (rule["onExitCodes"], rule["onPodConditions"])
            if codes.exists { exitCodes(codes, containers) }
            podConditions(conditions)
            if codes.exists, !conditions.isEmpty {
                invalid(rule, "specifying both OnExitCodes and OnPodConditions is not supported", isShown: false)
            } else if !codes.exists, conditions.isEmpty {
                invalid(rule, "specifying one of OnExitCodes and OnPodConditions is required", isShown: false)
            }
        }
    }

    private mutating func podConditions(_ field: Field) {
        if field.count > Self.policyRules { tooMany(field, limit: Self.policyRules) }
        for condition in field.elements {
            qualifiedName(condition["type"])
            if condition["status"].text.isEmpty {
                required(condition["status"], "valid values: [\"False\" \"True\" \"Unknown\"]")
            } else {
                isOne(of: ["False", "True", "Unknown"], condition["status"])
            }
        }
    }

    private mutating func exitCodes(_ field: Field, _ containers: Set<String>) {
        let (name, values, isIn) = (field["containerName"], field["values"], field["operator"].text == "In")
        if field["operator"].text.isEmpty {
            required(field["operator"], "valid values: [\"In\" \"NotIn\"]")
        } else {
            isOne(of: ["In", "NotIn"], field["operator"])
        }
        if name.exists, !containers.contains(name.text) {
            invalid(name, "must be one of the container or initContainer names in the pod template")
        }
        if values.isEmpty { invalid(values, "at least one value is required") }
        if values.count > Self.exitCodes { tooMany(values, limit: Self.exitCodes) }
        var seen: Set<Int> = []
        var last = Int.min
        var isOrdered = true
        for value in values.elements {
            if isIn, value.number == 0 { invalid(value, "must not be 0 for the In operator") }
            if !seen.insert(value.number).inserted { duplicate(value) }
            if value.number < last { isOrdered = false }
            last = value.number
        }
        if !isOrdered { invalid(values, "must be ordered") }
    }

    private mutating func successPolicy(_ field: Field, of spec: Field) {
        guard field.exists else { return }
        guard spec["completionMode"].text == "Indexed" else {
            return invalid(field, "requires indexed completion mode")
        }
        let rules = field["rules"]
        if rules.isEmpty { required(rules, "at least one rules must be specified when the successPolicy is specified") }
        if rules.count > Self.policyRules { tooMany(rules, limit: Self.policyRules) }
        let completions = spec["completions"].number
        for rule in rules.elements {
            let (count, indexes) = (rule["succeededCount"], rule["succeededIndexes"])
            if !count.exists, !indexes.exists {
                required(rule, "at least one of succeededCount or succeededIndexes must be specified")
            }
            var named = 0
            do throws(JobIndexes.Fault) {
                named = try JobIndexes.count(in: indexes.text, completions: completions)
            } catch {
                invalid(indexes, "error parsing succeededIndexes: \(error.text)")
            }
            guard count.exists else { continue }
            isNotNegative(count)
            if count.number > completions {
                invalid(count, "must be less than or equal to \(completions) (the number of specified completions)")
            }
            if indexes.exists, count.number > named {
                invalid(
                    count,
                    "must be less than or equal to \(named) (the number of indexes in the specified "
                        + "succeededIndexes field)")
            }
        }
    }

    // MARK: What belongs to a job of its own

    /// Unless its writer chose a selector, a job's pods are told by labels that nobody may set otherwise.
    mutating func generatedSelector(of root: Field) {
        let spec = root["spec"]
        guard !spec["manualSelector"].isTrue, let tree = spec["selector"].value else { return }
        let (uid, name) = (root["metadata"]["uid"].text, root["metadata"]["name"].text)
        let labels = spec["template"]["metadata"]["labels"]
        var expected: [String: String] = [:]
        for (index, uidLabel) in JobStrategy.uidLabels.enumerated().reversed() {
            expected[uidLabel] = uid
            expected[JobStrategy.nameLabels[index]] = name
            for (label, value) in [(uidLabel, uid), (JobStrategy.nameLabels[index], name)] {
                let place = Field(path: .entry(labels.path, label), labels.value?[label])
                if !place.exists {
                    required(place, "must be '\(value)'")
                } else if place.text != value {
                    invalid(place, value: labels.value, "must be '\(value)'")
                }
            }
        }
        if let selector = try? LabelSelector(tree), !selector.matches(expected) {
            invalid(spec["selector"], "`selector` not auto-generated")
        }
    }

    /// The pod of the last index is named after the job, and its name is a label.
    mutating func indexedHostNames(of root: Field) {
        let completions = root["spec"]["completions"].number
        guard root["spec"]["completionMode"].text == "Indexed", completions > 0 else { return }
        let name = root["metadata"]["name"]
        let longest = "\(name.text)-\(completions - 1)"
        if NameRules.messages(longest, .label).isEmpty { return }
        invalid(name, "will not able to create pod with invalid DNS label: \(longest)")
    }
}

/// Lists of indexes like `0,2-4` (upstream: validateIndexesFormat).
enum JobIndexes {
    struct Fault: Error { let text: String }

    /// How many indexes a text names; none for an empty one.
    static func count(in text: String, completions: Int) throws(Fault) -> Int {
        if text.isEmpty { return 0 }
        var total = 0
        var last: Int?
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let (first, end) = try interval(part, completions)
            if let last, last >= first {
                throw Fault(text: "non-increasing order, previous: \(last), current: \(first)")
            }
            total += end - first + 1
            last = end
        }
        return total
    }

    private static func interval(_ part: Substring, _ completions: Int) throws(Fault) -> (Int, Int) {
        let ends = part.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count <= 2 else {
            throw Fault(
                text: "the fragment \"\(part)\" violates the requirement that an index interval can have at most two "
                    + "parts separated by '-'")
        }
        var numbers: [Int] = []
        for end in ends {
            guard let number = Int(end), number >= 0 else {
                throw Fault(text: "cannot convert string to integer for index: \"\(end)\"")
            }
            guard number < completions else { throw Fault(text: "too large index: \"\(end)\"") }
            numbers.append(number)
        }
        guard numbers.count == 2 else { return (numbers[0], numbers[0]) }
        guard numbers[0] < numbers[1] else {
            throw Fault(text: "non-increasing order, previous: \(numbers[0]), current: \(numbers[1])")
        }
        return (numbers[0], numbers[1])
    }
}
