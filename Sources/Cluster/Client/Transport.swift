// The port between clients of the Kubernetes API and whatever carries their requests.

import HTTPTypes
import Objects

/// Carries one request to an API server and brings back the answer.
///
/// There are two: HTTPS to any cluster (`HTTPSTransport`), and a direct call into the embedded server that skips only
/// the sockets (built in Platform). A caller must not be able to tell which one it has.
package protocol Transport: Sendable {
    /// Sends a request with a whole body and returns the answer as soon as its head is known.
    ///
    /// Throws a `Problem` when no answer came; an answer of any status is returned. Cancelling the task cancels the
    /// request.
    func send(_ request: HTTPRequest, body: [UInt8]) async throws -> Answer
}

/// The head of an answer and its body, which may still be arriving.
package struct Answer: Sendable {
    package var response: HTTPResponse
    package var body: Body

    package init(response: HTTPResponse, body: Body) {
        self.response = response
        self.body = body
    }

    package enum Body: Sendable {
        case bytes([UInt8])
        case stream(any ByteStream)
    }
}

/// Chunks of a body in order; they need not agree with lines or objects.
package protocol ByteStream: Sendable {
    /// The next chunk, nil at the end. Called by one task at a time; cancelling that task ends the stream.
    func next() async throws -> [UInt8]?
    /// The events of a watch as values, to be read in place of its bytes; nil where there are only bytes.
    var events: (any EventStream)? { get }
}

extension ByteStream {
    package var events: (any EventStream)? { nil }
}

/// A watch whose server is in this process, so that its events need not become bytes in between.
package protocol EventStream: Sendable {
    /// The next events in order, nil at the end; throws the problem that an ERROR event would carry. Called by one task
    /// at a time; cancelling that task ends the stream.
    func nextEvents() async throws -> [WatchEvent]?
}
