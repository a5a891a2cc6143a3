// Carries the open API over HTTP.

import Catalogue
import Formats
import HTTPServing
import Logging

struct OpenAPIListener: Sendable {
    let api: OpenAPI
    let address: ListenAddress
    let logger: Logger

    /// A configuration's content may be long, and is percent-encoded on its way.
    static let limits = ServingLimits(bodyBytes: 4 << 20)

    /// Serves until cancelled; `onListening` is called once the address is bound.
    func run(onListening: @escaping @Sendable () async -> Void) async throws {
        let listener = HTTPListener(
            host: address.host, port: address.port, limits: Self.limits,
            secondsSinceEpoch: { Int64(WallClock.milliseconds() / 1_000) }
        ) { request in answer(request) }
        try await listener.run(onListening: onListening)
    }

    private func answer(_ request: HTTPRequest) -> Answering {
        let (path, query) = request.place
        let type = request.field("Content-Type")
        let isForm = !request.body.isEmpty && type?.hasPrefix("application/x-www-form-urlencoded") ?? true
        let form = isForm ? String(decoding: request.body, as: UTF8.self) : ""
        let call = OpenAPIRequest(
            method: request.method, path: path, parameters: FormParameters(query, form), peer: request.peer,
            userAgent: request.field("User-Agent") ?? "", headers: request.fields, listener: address.host)
        if request.isSmall, let answer = api.answerAtOnce(call) { return .now(carried(answer, to: call)) }
        return .later { carried(await api.answer(call), to: call) }
    }

    private func carried(_ answer: OpenAPIResponse, to call: OpenAPIRequest) -> HTTPAnswer {
        if answer.status >= 400 {
            logger.info(
                "nacos request refused",
                metadata: [
                    "method": .string(call.method), "path": .string(call.path),
                    "status": .stringConvertible(answer.status), "reason": .string(String(answer.text.prefix(500))),
                ])
        }
        let type = [(name: "Content-Type", value: answer.contentType)]
        return HTTPAnswer(
            status: answer.status, fields: type + answer.headers.map { (name: $0.name, value: $0.value) },
            body: answer.bytes)
    }
}
