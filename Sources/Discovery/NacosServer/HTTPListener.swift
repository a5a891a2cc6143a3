// Carries the open API over HTTP with Hummingbird.

import Catalogue
import HTTPTypes
import Hummingbird
import Logging
import NIO

struct HTTPListener: Sendable {
    let api: OpenAPI
    let address: ListeningAddress
    let logger: Logger

    static let largestBodyBytes = 1024 * 1024

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
        let body = try await request.body.collect(upTo: Self.largestBodyBytes)
        let isForm = request.headers[.contentType]?.hasPrefix("application/x-www-form-urlencoded") ?? false
        let form = isForm ? String(buffer: body) : ""
        let answer = await api.answer(
            OpenAPIRequest(
                method: request.method.rawValue, path: request.uri.path,
                parameters: FormParameters(request.uri.query ?? "", form), peer: context.peer,
                userAgent: request.headers[.userAgent] ?? ""))
        if answer.status >= 400 {
            logger.info(
                "nacos request refused",
                metadata: [
                    "method": .string(request.method.rawValue), "path": .string(request.uri.path),
                    "status": .stringConvertible(answer.status), "reason": .string(answer.body),
                ])
        }
        return Response(
            status: .init(code: answer.status), headers: [.contentType: answer.contentType],
            body: .init(byteBuffer: ByteBuffer(string: answer.body)))
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
