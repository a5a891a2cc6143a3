// What the DNS server counts, and how `/metrics` shows it.

import Formats

/// Queries by what became of them.
struct QueryCounts: Sendable {
    private struct Answer: Hashable {
        let carrier: Carrier
        let type: RecordType?
        let code: ResponseCode
    }

    private var answers: [Answer: UInt64] = [:]
    /// The last kind counted, which is most often the next one too.
    private var last: (answer: Answer, count: UInt64)?
    var dropped: UInt64 = 0

    var isEmpty: Bool { answers.isEmpty && last == nil && dropped == 0 }

    mutating func answered(_ carrier: Carrier, _ type: RecordType?, _ code: ResponseCode) {
        let known = type.map { RecordType.labels[$0.rawValue] == nil ? RecordType(rawValue: 0) : $0 }
        let answer = Answer(carrier: carrier, type: known, code: code)
        if last?.answer == answer {
            last?.count += 1
            return
        }
        if let last { answers[last.answer, default: 0] += last.count }
        last = (answer, 1)
    }

    mutating func add(_ other: QueryCounts) {
        for (answer, count) in other.answers { answers[answer, default: 0] += count }
        if let last = other.last { answers[last.answer, default: 0] += last.count }
        dropped += other.dropped
    }

    /// Lines of labels and counts, in a fixed order.
    var rows: [(labels: [(String, String)], count: UInt64)] {
        answers.map { answer, count in
            let carrier = answer.carrier == .datagram ? "udp" : "tcp"
            return (
                [("proto", carrier), ("rcode", answer.code.label), ("type", answer.type?.label ?? "none")], count
            )
        }.sorted { $0.labels.map(\.1).lexicographicallyPrecedes($1.labels.map(\.1)) }
    }
}

extension QueryAnswerer {
    /// Families named `mangrove_dns_…`.
    func writeMetrics(to text: inout MetricsText) {
        let counts = counters.withLock { $0 }
        text.family("mangrove_dns_answers_total", "counter", "Queries answered, by carrier, type and code.")
        for row in counts.rows { text.sample("mangrove_dns_answers_total", row.labels, String(row.count)) }
        text.family(
            "mangrove_dns_dropped_total", "counter", "Packets that were no query, and answers that found no room.")
        text.sample("mangrove_dns_dropped_total", [], String(counts.dropped))
        text.family("mangrove_dns_names", "gauge", "Names of the cluster that exist.")
        text.sample("mangrove_dns_names", [], String(responder.zone?.nameCount ?? 0))
        let state = forwarder.snapshot
        writeCache(state, to: &text)
        writeUpstreams(state, to: &text)
    }

    private func writeCache(_ state: Forwarder.State, to text: inout MetricsText) {
        let cache = state.cache
        text.family("mangrove_dns_cache_hits_total", "counter", "Answers given from the cache, by what they say.")
        let kinds: [(String, StoredAnswer.Kind)] = [("denial", .denial), ("failure", .failure), ("records", .records)]
        for (name, kind) in kinds {
            text.sample("mangrove_dns_cache_hits_total", [("kind", name)], String(cache.counts.hits[kind] ?? 0))
        }
        text.sample("mangrove_dns_cache_hits_total", [("kind", "stale")], String(cache.counts.staleHits))
        for (name, value, help) in [
            ("misses", cache.counts.misses, "Questions that had to be asked upstream."),
            ("evictions", cache.counts.evictions, "Answers that made room for others."),
            ("prefetches", cache.counts.prefetches, "Answers fetched anew before their end."),
        ] {
            text.family("mangrove_dns_cache_\(name)_total", "counter", help)
            text.sample("mangrove_dns_cache_\(name)_total", [], String(value))
        }
        text.family("mangrove_dns_cache_entries", "gauge", "Answers in the cache.")
        text.sample("mangrove_dns_cache_entries", [], String(cache.count))
        text.family("mangrove_dns_cache_bytes", "gauge", "Bytes that the answers in the cache take, about.")
        text.sample("mangrove_dns_cache_bytes", [], String(cache.sizeBytes))
    }

    private func writeUpstreams(_ state: Forwarder.State, to text: inout MetricsText) {
        let servers = Array(zip(state.addresses.map { $0.ipAddress ?? "" }, state.upstreams.health.indices))
        let health = state.upstreams.health
        text.family("mangrove_dns_upstream_answers_total", "counter", "Answers of an upstream server.")
        for (name, index) in servers {
            text.sample("mangrove_dns_upstream_answers_total", [("to", name)], String(health[index].answers))
        }
        text.family("mangrove_dns_upstream_seconds_total", "counter", "Seconds that these answers took together.")
        for (name, index) in servers {
            text.sample(
                "mangrove_dns_upstream_seconds_total", [("to", name)], MetricsText.number(health[index].seconds))
        }
        text.family(
            "mangrove_dns_upstream_faults_total", "counter", "Questions that an upstream server did not answer.")
        for (name, index) in servers {
            text.sample("mangrove_dns_upstream_faults_total", [("to", name)], String(health[index].faults))
        }
        text.family("mangrove_dns_upstream_up", "gauge", "Whether an upstream server is asked in its turn.")
        for (name, index) in servers {
            let isDown = state.upstreams.isDown(index, now: Forwarder.now)
            text.sample("mangrove_dns_upstream_up", [("to", name)], isDown ? "0" : "1")
        }
        text.family("mangrove_dns_joined_total", "counter", "Queries that waited for a question already under way.")
        text.sample("mangrove_dns_joined_total", [], String(state.joined))
        text.family("mangrove_dns_refused_total", "counter", "Queries over a limit, by which.")
        text.sample("mangrove_dns_refused_total", [("limit", "all")], String(state.overflows))
        text.sample("mangrove_dns_refused_total", [("limit", "source")], String(state.sources.refusals))
    }
}
