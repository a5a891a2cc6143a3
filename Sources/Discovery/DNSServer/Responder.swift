// Decides what a query gets: an answer from the zone, or one from elsewhere.

/// The pure half of the server.
struct Responder: Sendable {
    /// How many aliases are followed inside the zone.
    static let aliasLimit = 8

    let domain: DomainName
    /// Nil until the first full picture is in: until then nobody is told that a name does not exist.
    var zone: Zone?
    let canForward: Bool

    enum Resolution: Hashable, Sendable {
        /// Nothing: it was no query.
        case ignore
        case answer(Message)
        /// Ask upstream, and pass on what it says.
        case forward
        /// An alias leads out of the zone: ask upstream for this instead, and put its records behind the answer's.
        case follow(Message, with: Question)
    }

    /// `rotation` turns the order of the answers, so that clients that take the first spread.
    func resolve(_ query: Message, rotation: Int = 0) -> Resolution {
        guard !query.isResponse else { return .ignore }
        var answer = Message(
            id: query.id, isResponse: true, operation: query.operation, isRecursionDesired: query.isRecursionDesired,
            isRecursionAvailable: canForward, questions: query.questions)
        if let `extension` = query.extension {
            answer.extension = Extension(
                payloadLimitBytes: UInt16(MessageWriter.datagramLimitBytes), wantsSecurity: `extension`.wantsSecurity)
            guard `extension`.version == 0 else { return .answer(answer.failed(.badVersion)) }
        }
        guard query.operation == 0 else { return .answer(answer.failed(.notImplemented)) }
        guard query.questions.count == 1, let question = query.questions.first else {
            return .answer(answer.failed(.formatError))
        }
        guard [Question.internet, Question.anyClass].contains(question.classNumber), question.type != .axfr,
            question.type != .ixfr
        else { return .answer(answer.failed(.refused)) }

        let isOurs = question.name.isWithin(domain)
        guard let zone else {
            return isOurs || !canForward ? .answer(answer.failed(.serverFailure)) : .forward
        }
        if !isOurs, zone.find(question.name) == .noSuchName {
            return canForward ? .forward : .answer(answer.failed(.serverFailure))
        }
        return answered(answer, question, zone, rotation)
    }

    private func answered(_ start: Message, _ question: Question, _ zone: Zone, _ rotation: Int) -> Resolution {
        var answer = start
        answer.isAuthoritative = true
        var name = question.name
        for _ in 0..<Self.aliasLimit {
            switch zone.find(name) {
            case .noSuchName:
                // Behind an alias, RFC 6604 wants the code of the last name.
                return .answer(answer.failed(.noSuchName, authority: zone))
            case .nothing:
                return .answer(answer.failed(.success, authority: zone))
            case .records(let records):
                let fitting = records.filter { $0.type == question.type || question.type == .any }
                if !fitting.isEmpty {
                    answer.answers += rotated(fitting, by: rotation).map { zone.record(name, $0) }
                    answer.additionals = targets(of: fitting, in: zone)
                    return .answer(answer)
                }
                guard case .cname(let target)? = records.first else {
                    return .answer(answer.failed(.success, authority: zone))
                }
                answer.answers.append(zone.record(name, .cname(target)))
                guard target.isWithin(domain) else {
                    guard canForward, question.type != .any else { return .answer(answer) }
                    return .follow(answer, with: Question(name: target, type: question.type))
                }
                name = target
            }
        }
        return .answer(answer.failed(.serverFailure))
    }

    private func rotated(_ records: [RecordData], by rotation: Int) -> [RecordData] {
        let first = records.count > 1 ? Int(rotation.magnitude % UInt(records.count)) : 0
        return Array(records[first...] + records[..<first])
    }

    /// The addresses of SRV targets, which saves the client a question each.
    private func targets(of records: [RecordData], in zone: Zone) -> [ResourceRecord] {
        var seen: Set<DomainName> = []
        var additionals: [ResourceRecord] = []
        for case .srv(_, _, _, let target) in records where seen.insert(target).inserted {
            guard case .records(let found) = zone.find(target) else { continue }
            additionals += found.filter { $0.type == .a }.map { zone.record(target, $0) }
        }
        return additionals
    }
}

extension Zone {
    func record(_ name: DomainName, _ data: RecordData) -> ResourceRecord {
        ResourceRecord(name: name, timeToLiveSeconds: Self.timeToLiveSeconds, data: data)
    }
}

extension Message {
    /// The message with this code, and with the zone's start of authority when it says that there is nothing.
    func failed(_ code: ResponseCode, authority: Zone? = nil) -> Message {
        var message = self
        message.code = code
        if let authority { message.authorities = [authority.record(authority.domain, authority.startOfAuthority)] }
        return message
    }

    /// This answer with what upstream said about the name that its alias leads to.
    func followed(by other: Message) -> Message {
        var message = self
        message.answers += other.answers
        message.code = other.code
        message.isAuthoritative = false
        return message
    }
}
