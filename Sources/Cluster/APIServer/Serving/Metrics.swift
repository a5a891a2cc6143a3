// What `/metrics` says, in Prometheus' text form, with upstream's names.

import Formats
import Glibc
import Objects

extension KubernetesAPI {
    /// `GET /metrics`.
    func metrics() throws(Problem) -> APIAnswer {
        var text = MetricsText()
        writeTraffic(to: &text)
        try writeObjects(to: &text)
        writeProcess(to: &text)
        contributedMetrics(&text)
        return .bytes(Array(text.text.utf8), contentType: MetricsText.contentType)
    }

    private func writeTraffic(to text: inout MetricsText) {
        let traffic = traffic.withLock { $0 }
        text.family("apiserver_request_total", "counter", "Requests answered, by what they asked for and the code.")
        let answers = traffic.answers.map { answer, count in
            (labels: answer.request.labels + [("code", String(answer.code))], count)
        }
        for (labels, count) in answers.sorted(by: { Self.order($0.labels, $1.labels) }) {
            text.sample("apiserver_request_total", labels, String(count))
        }
        let durations = traffic.durations.sorted { Self.order($0.key.labels, $1.key.labels) }
        for name in ["apiserver_request_duration_seconds", "apiserver_request_sli_duration_seconds"] {
            text.family(name, "histogram", "Seconds from a request's arrival to its answer; streams are left out.")
            for (request, histogram) in durations {
                text.histogram(
                    name, request.labels, bounds: TrafficMachine.bounds, buckets: histogram.buckets, sum: histogram.sum)
            }
        }
        let inFlight = "apiserver_current_inflight_requests"
        text.family(inFlight, "gauge", "Requests under way that are counted against the limit.")
        text.sample(inFlight, [("request_kind", "mutating")], String(traffic.mutatingInFlight))
        text.sample(inFlight, [("request_kind", "readOnly")], String(traffic.readOnlyInFlight))
        text.family("apiserver_longrunning_requests", "gauge", "Watches and other streams that are open.")
        for (request, count) in traffic.streams.sorted(by: { Self.order($0.key.labels, $1.key.labels) }) {
            text.sample("apiserver_longrunning_requests", request.labels, String(count))
        }
    }

    private static func order(_ left: [(String, String)], _ right: [(String, String)]) -> Bool {
        left.lazy.map(\.1).lexicographicallyPrecedes(right.lazy.map(\.1))
    }

    private func writeObjects(to text: inout MetricsText) throws(Problem) {
        text.family("apiserver_storage_objects", "gauge", "Stored objects, by resource.")
        var seen: Set<String> = []
        for served in served.all where served.resource.verbs.contains("list") {
            guard seen.insert(served.resource.qualifiedName).inserted else { continue }
            let page = try records.store.page(prefix: ObjectRecords.prefix(served.resource, namespace: ""), limit: 1)
            let count = page.records.count + page.remaining
            text.sample("apiserver_storage_objects", [("resource", served.resource.qualifiedName)], String(count))
        }
        text.family("apiserver_storage_revision", "gauge", "The revision of the newest write.")
        text.sample("apiserver_storage_revision", [], String(records.store.revision))
    }

    private func writeProcess(to text: inout MetricsText) {
        text.family("kubernetes_build_info", "gauge", "Always 1; what this server is, in its labels.")
        let names: [(label: String, field: String)] = [
            ("build_date", "buildDate"), ("compiler", "compiler"), ("git_commit", "gitCommit"),
            ("git_tree_state", "gitTreeState"), ("git_version", "gitVersion"), ("go_version", "goVersion"),
            ("major", "major"), ("minor", "minor"), ("platform", "platform"),
        ]
        let labels = names.map { ($0.label, ServerVersion.tree[$0.field]?.string ?? "") }
        text.sample("kubernetes_build_info", labels, "1")
        text.family("process_start_time_seconds", "gauge", "When the API server began, in seconds since 1970.")
        text.sample("process_start_time_seconds", [], String(startTime.secondsSinceEpoch))
        text.family("process_cpu_seconds_total", "counter", "Processor time of this process in seconds.")
        text.sample("process_cpu_seconds_total", [], MetricsText.number(Self.processorSeconds))
    }

    private static var processorSeconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec / 1_000_000) / 1000
    }
}

extension RequestSummary {
    /// In upstream's names.
    var labels: [(String, String)] {
        [
            ("component", "apiserver"), ("dry_run", isDryRun ? "All" : ""), ("group", group), ("resource", resource),
            ("scope", scope), ("subresource", subresource), ("verb", verb), ("version", version),
        ]
    }
}
