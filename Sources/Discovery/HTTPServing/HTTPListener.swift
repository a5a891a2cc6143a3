// Listens on one address, as a service to run.

import Listening
import NIOCore
import NIOHTTP1

/// Serves HTTP/1.1 from one function, which says of each request whether it is answered at once or by a task.
package struct HTTPListener: Sendable {
    /// Bytes of answers that wait for a client before nothing more is read from it.
    static let outboundBytes = 256 << 10

    private let host: String
    private let port: Int
    private let limits: ServingLimits
    private let date: DateLine
    private let answer: @Sendable (HTTPRequest) -> Answering

    /// `host` is an IP address or `localhost`; `secondsSinceEpoch` is the clock of the answers' dates.
    package init(
        host: String, port: Int, limits: ServingLimits, secondsSinceEpoch: @escaping @Sendable () -> Int64,
        answer: @escaping @Sendable (HTTPRequest) -> Answering
    ) {
        self.host = host
        self.port = port
        self.limits = limits
        self.answer = answer
        date = DateLine(secondsSinceEpoch: secondsSinceEpoch)
    }

    /// Serves until cancelled; throws when the address cannot be bound. `onListening` is called once it is.
    package func run(onListening: @escaping @Sendable () async -> Void = {}) async throws {
        let listener = StreamListener(host: host, port: port) { [limits, date, answer] channel in
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            try channel.syncOptions?.setOption(
                .writeBufferWaterMark, value: .init(low: Self.outboundBytes / 4, high: Self.outboundBytes))
            let decoder = HTTPRequestDecoder(limitConfiguration: limits.decoding)
            try channel.pipeline.syncOperations.addHandlers([
                ByteToMessageHandler(decoder), Connection(limits: limits, date: date, answer: answer),
            ])
        }
        try await listener.run(onListening: onListening)
    }
}

extension ServingLimits {
    var decoding: NIOHTTPDecoderLimitConfiguration {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = headBytes
        limits.maxHeaderListSize = headBytes
        limits.maxHeaderFieldCount = fieldCount
        return limits
    }
}
