// What is served: methods over bytes, whatever message type they carry.

/// The other end of a TCP connection.
package struct GRPCPeer: Hashable, Sendable {
    package var address: String
    package var port: Int

    package init(address: String, port: Int) {
        self.address = address
        self.port = port
    }
}

/// How calls of one path are served. Both functions are called on the connection's event loop, which nothing may hold
/// up.
package enum GRPCMethod: Sendable {
    /// One message in, one out.
    case unary(@Sendable (_ message: [UInt8], GRPCPeer) -> GRPCAnswering)
    /// Both sides speak when they have something to say. `wake` may be called from anywhere, any number of times: the
    /// conversation is then asked for its next message.
    case conversation(@Sendable (GRPCPeer, _ wake: @escaping @Sendable () -> Void) -> any GRPCConversation)
}

package typealias GRPCOutcome = Result<[UInt8], GRPCStatus>

/// How a unary call is answered.
package enum GRPCAnswering: Sendable {
    /// At once, for what needs neither waiting nor much work.
    case now(GRPCOutcome)
    /// By a task of its own, which is cancelled when nobody waits for it any more.
    case later(@Sendable () async -> GRPCOutcome)
}

/// The server's half of a call in which both sides speak. Everything is called on the call's event loop, which nothing
/// may hold up. It is asked for messages only while the client takes them, so whoever keeps what is to be said, not
/// the call, decides how much waits for a slow client.
package protocol GRPCConversation: Sendable {
    /// A message came. What is thrown ends the call.
    func received(_ message: [UInt8]) throws(GRPCStatus)
    /// The next message; nil when there is nothing to say before the next `wake`. What is thrown ends the call.
    func next() throws(GRPCStatus) -> [UInt8]?
    /// The call is over, whichever way: the client said its last, cancelled, or is gone. Called once, as the last.
    func ended()
}
