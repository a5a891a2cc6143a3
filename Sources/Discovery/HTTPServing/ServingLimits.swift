// How much and how long a client may.

import NIOCore

package struct ServingLimits: Sendable {
    /// Bytes of a request's body.
    package var bodyBytes: Int
    /// Bytes of a request's line and header fields.
    package var headBytes: Int
    /// Header fields of a request.
    package var fieldCount: Int
    /// A request's head must be there so long after the answer before it, its body so long after its head, and an
    /// answer must be taken at some pace: a connection on which nothing moves for so long is closed.
    package var patience: TimeAmount
    /// How long a client that was refused in the middle of its request may go on, so that it gets to read why.
    package var farewell: TimeAmount

    package init(
        bodyBytes: Int = 4 << 20, headBytes: Int = 64 << 10, fieldCount: Int = 100, patience: TimeAmount = .seconds(75),
        farewell: TimeAmount = .seconds(5)
    ) {
        self.bodyBytes = bodyBytes
        self.headBytes = headBytes
        self.fieldCount = fieldCount
        self.patience = patience
        self.farewell = farewell
    }
}
