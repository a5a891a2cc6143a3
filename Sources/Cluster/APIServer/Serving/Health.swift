// `/livez`, `/readyz` and `/healthz`: named checks, all at once or one by one (upstream: apiserver/pkg/server/healthz).

import HTTPTypes
import Objects
import Storage

/// A part of the server that may be unwell.
enum HealthCheck: String, Sendable, CaseIterable {
    /// The server answers.
    case ping
    /// The store takes writes.
    case store
    /// The first objects are there: namespaces, roles, the Service of the API itself.
    case bootstrap

    /// What is looked at: a server that is still starting is alive.
    static func all(of endpoint: String) -> [HealthCheck] {
        endpoint == "livez" ? [.ping, .store] : allCases
    }
}

extension KubernetesAPI {
    /// Answers `/livez` and the like, or one check of it.
    func health(_ endpoint: String, only name: String?, _ query: Query) async -> APIAnswer {
        if let name {
            guard let check = HealthCheck(rawValue: name), HealthCheck.all(of: endpoint).contains(check) else {
                return .missingPath
            }
            guard let fault = await fault(of: check) else { return HealthReport.answer("ok", code: 200) }
            return HealthReport.answer("internal server error: \(fault)\n", code: 500)
        }
        var report = HealthReport(endpoint: endpoint, excluded: query.all("exclude"))
        for check in HealthCheck.all(of: endpoint) {
            if report.excludes(check) { continue }
            report.checked(check, isWell: await fault(of: check) == nil)
        }
        return report.answer(isVerbose: query["verbose"] != nil)
    }

    private func fault(of check: HealthCheck) async -> String? {
        switch check {
        case .ping: return nil
        case .store: return await records.refusal()?.message
        case .bootstrap: return bootstrapped.isOpen ? nil : "the first objects are still being made"
        }
    }
}

/// What was found, in upstream's form. Reasons are withheld: everybody may ask.
struct HealthReport: Sendable {
    let endpoint: String
    private var excluded: Set<String>
    private var lines = ""
    private var isWell = true

    init(endpoint: String, excluded: [String]) {
        self.endpoint = endpoint
        self.excluded = Set(excluded.flatMap { $0.split(separator: ",").map(String.init) })
    }

    mutating func excludes(_ check: HealthCheck) -> Bool {
        guard excluded.remove(check.rawValue) != nil else { return false }
        lines += "[+]\(check.rawValue) excluded: ok\n"
        return true
    }

    mutating func checked(_ check: HealthCheck, isWell: Bool) {
        lines += isWell ? "[+]\(check.rawValue) ok\n" : "[-]\(check.rawValue) failed: reason withheld\n"
        if !isWell { self.isWell = false }
    }

    func answer(isVerbose: Bool) -> APIAnswer {
        var text = lines
        if !excluded.isEmpty {
            let names = excluded.sorted().map { "\"\($0)\"" }.joined(separator: ",")
            text += "warn: some health checks cannot be excluded: no matches for \(names)\n"
        }
        text += "\(endpoint) check \(isWell ? "passed" : "failed")\n"
        return HealthReport.answer(isWell && !isVerbose ? "ok" : text, code: isWell ? 200 : 500)
    }

    static func answer(_ text: String, code: Int) -> APIAnswer {
        var answer = APIAnswer.text(text, code: code)
        if let name = HTTPField.Name("X-Content-Type-Options") { answer.response.headerFields[name] = "nosniff" }
        answer.response.headerFields[.cacheControl] = "no-cache, private"
        return answer
    }
}
