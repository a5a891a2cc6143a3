// What one connection has still to be told, and what it has not answered yet.

import Catalogue
import Configurations

/// Something that a client is told on its stream.
enum PushSubject: Sendable, Hashable {
    /// What this server can do, once, when the client asked with what it can do.
    case abilities
    case service(ServiceName)
    case item(ConfigName)
    case watch(FuzzyWatchName)
    /// Are you there?
    case presence
    /// Connect anew; this server is going.
    case reset

    /// Whether the client answers it.
    var isAnswered: Bool {
        switch self {
        case .abilities, .reset: false
        case .service, .item, .watch, .presence: true
        }
    }
}

/// The pushes of one connection. At most one push per subject is awaited; a newer one takes the older one's place.
struct PushMachine: Sendable {
    enum Step: Sendable, Equatable {
        /// Tell the newest view; `again` when it was sent before and not answered.
        case push(PushSubject, again: Bool)
        /// The client answers nothing any more.
        case lost
    }

    private struct Sent: Sendable {
        let requestID: UInt64
        let version: UInt64
        let deadline: ContinuousClock.Instant
    }

    /// `PushConstants.DEFAULT_PUSH_TASK_TIMEOUT`.
    static let answerPatience: Duration = .seconds(5)
    /// So many unanswered pushes of one subject in a row mean that the client is gone.
    static let attemptLimit = 3

    /// Those that wait, from `next` on; each once, by `isPending`.
    private var pending: [PushSubject] = []
    private var next = 0
    private var isPending: Set<PushSubject> = []
    private var repeats: Set<PushSubject> = []
    private var sent: [PushSubject: Sent] = [:]
    private var subjects: [UInt64: PushSubject] = [:]
    private var attempts: [PushSubject: Int] = [:]
    private var lastRequestID: UInt64 = 0
    private var isLost = false

    mutating func changed(_ subject: PushSubject) {
        if isPending.insert(subject).inserted { pending.append(subject) }
    }

    mutating func forgot(_ subject: PushSubject) {
        isPending.remove(subject)
        repeats.remove(subject)
        if let previous = sent.removeValue(forKey: subject) { subjects[previous.requestID] = nil }
        attempts[subject] = nil
    }

    var hasStep: Bool { isLost || !isPending.isEmpty }

    mutating func takeStep() -> Step? {
        if isLost { return .lost }
        while next < pending.count {
            let subject = pending[next]
            next += 1
            // What was forgotten meanwhile is passed over.
            guard isPending.remove(subject) != nil else { continue }
            return .push(subject, again: repeats.remove(subject) != nil)
        }
        pending.removeAll(keepingCapacity: true)
        next = 0
        return nil
    }

    /// A push is about to be written; returns the id that its answer will carry.
    mutating func pushed(_ subject: PushSubject, version: UInt64, now: ContinuousClock.Instant) -> UInt64 {
        lastRequestID += 1
        guard subject.isAnswered else { return lastRequestID }
        if let previous = sent[subject] { subjects[previous.requestID] = nil }
        sent[subject] = Sent(requestID: lastRequestID, version: version, deadline: now + Self.answerPatience)
        subjects[lastRequestID] = subject
        return lastRequestID
    }

    func isAwaited(_ subject: PushSubject) -> Bool { sent[subject] != nil }

    /// The client answered; returns what it has thereby taken in.
    mutating func answered(requestID: UInt64) -> (subject: PushSubject, version: UInt64)? {
        guard let subject = subjects.removeValue(forKey: requestID), let push = sent.removeValue(forKey: subject) else {
            return nil
        }
        attempts[subject] = nil
        return (subject, push.version)
    }

    mutating func timePassed(now: ContinuousClock.Instant) {
        for (subject, push) in sent where push.deadline <= now {
            sent[subject] = nil
            subjects[push.requestID] = nil
            attempts[subject, default: 0] += 1
            if attempts[subject, default: 0] >= Self.attemptLimit { isLost = true }
            repeats.insert(subject)
            changed(subject)
        }
    }
}
