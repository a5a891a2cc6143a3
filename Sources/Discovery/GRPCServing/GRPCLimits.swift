// How much and how long a client may.

import NIOCore

package struct GRPCLimits: Sendable {
    /// Bytes of one message.
    package var messageBytes: Int
    /// Bytes of messages that a connection has begun to send and not ended.
    package var unfinishedBytes: Int
    /// Calls of one connection at a time; HTTP/2 tells the client.
    package var concurrentCalls: Int
    /// Bytes of a call's header fields; HTTP/2 tells the client.
    package var headBytes: Int
    /// A connection from which nothing came for so long is asked whether it is there, with a ping.
    package var silence: TimeAmount
    /// Who does not answer the ping within this is gone.
    package var patience: TimeAmount
    /// What is under way gets so long when the server ends.
    package var farewell: TimeAmount

    package init(
        messageBytes: Int = 4 << 20, unfinishedBytes: Int = 64 << 20, concurrentCalls: Int = 1_000,
        headBytes: Int = 16 << 10, silence: TimeAmount = .seconds(20), patience: TimeAmount = .seconds(5),
        farewell: TimeAmount = .milliseconds(300)
    ) {
        self.messageBytes = messageBytes
        self.unfinishedBytes = unfinishedBytes
        self.concurrentCalls = concurrentCalls
        self.headBytes = headBytes
        self.silence = silence
        self.patience = patience
        self.farewell = farewell
    }

    /// Bytes that wait for a client before a conversation is asked for no more.
    static let outboundBytes = 64 << 10
    /// Messages that a conversation sends before other connections of the event loop have their turn.
    static let messagesATurn = 64
}
