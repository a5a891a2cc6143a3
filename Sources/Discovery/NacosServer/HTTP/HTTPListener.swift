// Carries the open API over HTTP with Hummingbird.

import HTTPTypes
import Hummingbird
import Logging
import NIO

struct HTTPListener: Sendable {
    let api: OpenAPI
    let address: ListeningAddress
    let logger: Logger

    /// A configuration's content may be long, and is percent-encoded on its way.
    static let largestBodyBytes = 4 * 1024 * 1024

    /// Serves until cancelled; `onListening` is called once the address is bound.
    func run(onListening: @escaping @Sendable () async -> Void) async throws {
        // The framework calls its cancellation an error; what really fails, it throws.
        var quiet = logger
        quiet.logLevel = .critical
        let application = Application(
            responder: CallbackResponder { request, context in try await respond(request, context) },
            configuration: ApplicationConfiguration(address: .hostname(address.host, port: address.port)),
            onServerRunning: { _ in await onListening() }, logger: quiet)
        try await application.run()
    }

    @Sendable
    private func respond(_ request: Request, _ context: CallerContext) async throws -> Response {
        var form = ""
        // Most calls have everything in the query; nothing is read for them.
        if request.method != .get, request.headers[.contentLength] != "0" {
            let body: ByteBuffer
            do {
                body = try await request.body.collect(upTo: Self.largestBodyBytes)
            } catch is NIOTooManyBytesError {
                return Response(status: .contentTooLarge, headers: [.connection: "close"])
            }
            let isForm = request.headers[.contentType]?.hasPrefix("application/x-www-form-urlencoded") ?? true
            if isForm { form = String(buffer: body) }
        }
        let answer = await api.answer(
            OpenAPIRequest(
                method: request.method.rawValue, path: request.uri.path,
                parameters: FormParameters(request.uri.query ?? "", form), peer: context.peer,
                userAgent: request.headers[.userAgent] ?? "", headers: request.headers, listener: address.host))
        if answer.status >= 400 {
            logger.info(
                "nacos request refused",
                metadata: [
                    "method": .string(request.method.rawValue), "path": .string(request.uri.path),
                    "status": .stringConvertible(answer.status), "reason": .string(String(answer.text.prefix(500))),
                ])
        }
        var headers: HTTPFields = [.contentType: answer.contentType]
        for field in answer.headers {
            if let name = HTTPField.Name(field.name) { headers[name] = field.value }
        }
        return Response(
            status: .init(code: answer.status), headers: headers,
            body: .init(byteBuffer: ByteBuffer(bytes: answer.bytes)))
    }
}

/// A request's context that knows where the request came from.
struct CallerContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let peer: String

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = source.channel.remoteAddress?.ipAddress ?? ""
    }
}
