// Nacos' HTTP open API: finds who answers a path, and puts refusals in the form of its version.

import Catalogue
import Formats

struct OpenAPI: Sendable {
    let backend: Backend
    private let configurationCalls: ConfigCalls
    private let namingV1: NamingCallsV1
    private let naming: NamingCalls
    private let catalog: CatalogCalls
    private let history: HistoryCalls
    private let console: ConsoleCalls
    private let accounts: AccountCalls

    init(backend: Backend) {
        self.backend = backend
        let operations = NamingOperations(backend: backend)
        namingV1 = NamingCallsV1(operations: operations)
        naming = NamingCalls(operations: operations)
        catalog = CatalogCalls(operations: operations)
        configurationCalls = ConfigCalls(operations: ConfigOperations(backend: backend), polling: backend.polling)
        history = HistoryCalls(operations: ConfigOperations(backend: backend))
        console = ConsoleCalls(backend: backend)
        accounts = AccountCalls(accounts: backend.accounts)
    }

    func answer(_ request: OpenAPIRequest) async -> OpenAPIResponse {
        if let answer = answerAtOnce(request) { return answer }
        do throws(NacosProblem) {
            return try await perform(request)
        } catch {
            return .refusal(error, path: request.path)
        }
    }

    /// The answer to what clients say and ask all the time, where nothing has to be waited for; nil for all else.
    func answerAtOnce(_ request: OpenAPIRequest) -> OpenAPIResponse? {
        do throws(NacosProblem) {
            try backend.accounts?.check(request)
            if request.path.hasPrefix("/nacos/v1/ns/instance") { return try namingV1.answerAtOnce(request) }
            guard let rest = Self.rest(of: request.path, after: ["/nacos/v3/client/ns/", "/nacos/v2/ns/"]) else {
                return nil
            }
            return try naming.answerAtOnce(request, rest: rest)
        } catch {
            return .refusal(error, path: request.path)
        }
    }

    /// Each family answers nil for what is not its own.
    private func perform(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        let path = request.path
        if path.hasPrefix("/nacos/v1/ns/instance") {
            if let answer = try await namingV1.answer(request) { return answer }
        } else if let rest = Self.rest(of: path, after: ["/nacos/v1/ns/"]) {
            if let answer = try await namingV1.answer(request) { return answer }
            if let answer = try await catalog.answer(request, rest: rest) { return answer }
        } else if let rest = Self.rest(of: path, after: ["/nacos/v3/client/ns/"]) {
            if let answer = try await naming.answerClient(request, rest: rest) { return answer }
        } else if let rest = Self.rest(
            of: path, after: ["/nacos/v2/ns/", "/nacos/v3/admin/ns/", "/nacos/v3/console/ns/"])
        {
            if let answer = try await naming.answer(request, rest: rest) { return answer }
        } else if let rest = Self.rest(of: path, after: ["/nacos/v1/cs/"]) {
            if let answer = try await configurationCalls.answerV1(request, rest: rest) { return answer }
            if let answer = try await history.answerV1(request, rest: rest) { return answer }
        } else if let rest = Self.rest(
            of: path, after: ["/nacos/v2/cs/", "/nacos/v3/client/cs/", "/nacos/v3/admin/cs/", "/nacos/v3/console/cs/"])
        {
            if let answer = try await configurationCalls.answer(request, rest: rest) { return answer }
            if let answer = try await history.answer(request, rest: rest) { return answer }
        } else {
            if let answer = try await console.answer(request) { return answer }
            if let answer = try await accounts.answer(request) { return answer }
        }
        throw Self.isNacos(path) ? .notServed("\(request.method) \(path)") : .noSuchPath
    }

    private static func rest(of path: String, after prefixes: [String]) -> String? {
        for prefix in prefixes where path.hasPrefix(prefix) { return String(path.dropFirst(prefix.count)) }
        return nil
    }

    /// Whether a path is of a part that Nacos has, so that its absence here is to be told apart from a mistake.
    private static func isNacos(_ path: String) -> Bool {
        for version in ["v1", "v2", "v3"] where path.hasPrefix("/nacos/\(version)/") {
            let part = path.dropFirst(10).prefix { $0 != "/" }
            return ["ns", "cs", "core", "console", "auth", "admin", "client", "ai", "plugin"].contains(part)
        }
        return false
    }
}
