// One client's connection, as the keeper sees it. Only the keeper's event loop touches it.

import NIOCore

final class Connection {
    let number: Int
    let channel: any Channel
    let address: String
    let openedMilliseconds: Int64
    /// 0 until the client has greeted.
    var session: Int64 = 0
    var caller: Caller
    var outbox: Outbox
    var isTouched = false
    var isWaiting = false
    var isPaused = false
    /// Nothing more is read; it is closed when what waits has been sent.
    var isLeaving = false
    var received = 0
    var sent = 0

    init(number: Int, channel: any Channel, address: String, now: Int64) {
        self.number = number
        self.channel = channel
        self.address = address
        openedMilliseconds = now
        caller = Caller(session: 0, identities: [Identity(scheme: "ip", id: address)])
        outbox = Outbox()
    }
}
