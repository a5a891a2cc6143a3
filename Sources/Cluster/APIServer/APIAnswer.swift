// What the API server hands back for a request, and the ports through which others stream into it.

import HTTPTypes
import Objects
import RemoteStreams

/// The head of an answer and its body, which may still be growing.
package struct APIAnswer: Sendable {
    package var response: HTTPResponse
    package var body: Body
    /// What the connection becomes instead, where the listener can do that.
    package var upgrade: StreamUpgrade?
    /// Who takes the bare connection over instead, where the listener can do that.
    package var tunnel: (@Sendable (any RemoteConnection) async -> Void)?

    package init(response: HTTPResponse, body: Body) {
        self.response = response
        self.body = body
    }

    package enum Body: Sendable {
        case bytes([UInt8])
        case stream(any APIChunks)
    }
}

/// Chunks of a streamed body in order.
package protocol APIChunks: Sendable {
    /// The next chunk, nil at the end. Called by one task at a time; cancelling that task ends the stream.
    func next() async throws -> [UInt8]?
    /// The same stream as values, to be read in place of the chunks; nil where it is no watch.
    var events: (any APIEvents)? { get }
}

extension APIChunks {
    package var events: (any APIEvents)? { nil }
}

/// A watch as a reader in this program follows it: nothing is encoded only to be decoded again.
package protocol APIEvents: Sendable {
    /// The next events in order, nil at the end; throws the problem that an ERROR event would carry. Called by one task
    /// at a time; cancelling that task ends the stream.
    func nextEvents() async throws -> [WatchEvent]?
}

/// What the API server asks of the node that runs a pod.
package protocol NodeAccess: Sendable {
    /// The log of one container of a pod, from its first wanted byte; with `follow` the stream ends with the container.
    func logs(namespace: String, pod: String, options: LogOptions) async throws(Problem) -> any APIChunks

    /// Starts a command in a running container. That its program cannot be executed is told by `exitCode`.
    func execute(namespace: String, pod: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess

    /// The streams of a container's own program, from now on.
    func attach(namespace: String, pod: String, _ request: CommandRequest) async throws(Problem) -> any RemoteProcess

    /// A connection to a port of the pod's loopback.
    func connect(namespace: String, pod: String, port: Int) async throws(Problem) -> any RemoteConnection
}

/// The parameters of `pods/log`, as `v1.PodLogOptions` has them.
package struct LogOptions: Sendable, Hashable {
    /// Never empty: the API server fills in the only container.
    package var container: String
    package var follow = false
    /// The instance before the current one.
    package var previous = false
    package var sinceSeconds: Int?
    /// RFC 3339.
    package var sinceTime: String?
    /// Every line begins with its RFC 3339 time and a space.
    package var timestamps = false
    package var tailLines: Int?
    package var limitBytes: Int?

    package init(container: String) { self.container = container }
}

extension APIAnswer {
    static func bytes(
        _ bytes: [UInt8], code: Int = 200, contentType: String = "application/json"
    ) -> APIAnswer {
        var fields = HTTPFields()
        fields[.contentType] = contentType
        return APIAnswer(response: HTTPResponse(status: .init(code: code), headerFields: fields), body: .bytes(bytes))
    }

    static func text(_ text: String, code: Int = 200) -> APIAnswer {
        bytes(Array(text.utf8), code: code, contentType: "text/plain; charset=utf-8")
    }

    static func problem(_ problem: Problem) -> APIAnswer {
        var answer = bytes(problem.status.bytes, code: problem.code)
        if let seconds = problem.retryAfterSeconds { answer.response.headerFields[.retryAfter] = String(seconds) }
        return answer
    }

    /// A problem in the form that the client reads objects in.
    static func problem(_ problem: Problem, accept: String?) -> APIAnswer {
        guard let wanted = try? Negotiation.presentation(accept: accept, query: Query(), hasProtobuf: true),
            wanted.format != .json, wanted.representation == .object
        else { return .problem(problem) }
        let shown = APIAnswer.rendered(problem.status, wanted, code: problem.code)
        var answer = APIAnswer.problem(problem)
        answer.response.headerFields[.contentType] = shown.response.headerFields[.contentType]
        answer.body = shown.body
        return answer
    }

    static func stream(_ chunks: any APIChunks, contentType: String) -> APIAnswer {
        var fields = HTTPFields()
        fields[.contentType] = contentType
        fields[.cacheControl] = "no-cache, private"
        return APIAnswer(response: HTTPResponse(status: .ok, headerFields: fields), body: .stream(chunks))
    }
}
