// What one connection has still to be told, and what it has not answered yet.

import Catalogue

/// The pushes of one connection. At most one push per service is awaited; a newer one takes the older one's place.
struct PushMachine: Sendable {
    enum Step: Sendable, Equatable {
        /// Tell the newest view; `again` when it was sent before and not answered.
        case push(ServiceName, again: Bool)
        /// The client answers nothing any more.
        case lost
    }

    struct Sent: Sendable {
        let requestID: String
        let version: UInt64
        let deadline: ContinuousClock.Instant
    }

    /// `PushConstants.DEFAULT_PUSH_TASK_TIMEOUT`.
    static let answerPatience: Duration = .seconds(5)
    /// So many unanswered pushes of one service in a row mean that the client is gone.
    static let attemptLimit = 3

    private var pending: [ServiceName] = []
    private var repeats: Set<ServiceName> = []
    private var sent: [ServiceName: Sent] = [:]
    private var attempts: [ServiceName: Int] = [:]
    private var isLost = false

    mutating func changed(_ service: ServiceName) {
        if !pending.contains(service) { pending.append(service) }
    }

    mutating func forgot(_ service: ServiceName) {
        pending.removeAll { $0 == service }
        repeats.remove(service)
        sent[service] = nil
        attempts[service] = nil
    }

    var hasStep: Bool { isLost || !pending.isEmpty }

    mutating func takeStep() -> Step? {
        if isLost { return .lost }
        guard !pending.isEmpty else { return nil }
        let service = pending.removeFirst()
        return .push(service, again: repeats.remove(service) != nil)
    }

    mutating func pushed(_ service: ServiceName, version: UInt64, requestID: String, now: ContinuousClock.Instant) {
        sent[service] = Sent(requestID: requestID, version: version, deadline: now + Self.answerPatience)
    }

    /// The client answered; returns what it has thereby taken in.
    mutating func answered(requestID: String) -> (service: ServiceName, version: UInt64)? {
        guard let (service, push) = sent.first(where: { $0.value.requestID == requestID }) else { return nil }
        sent[service] = nil
        attempts[service] = nil
        return (service, push.version)
    }

    mutating func timePassed(now: ContinuousClock.Instant) {
        for (service, push) in sent where push.deadline <= now {
            sent[service] = nil
            attempts[service, default: 0] += 1
            if attempts[service, default: 0] >= Self.attemptLimit { isLost = true }
            repeats.insert(service)
            changed(service)
        }
    }
}
