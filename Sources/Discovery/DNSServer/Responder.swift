// Decides what a query gets: an answer from the zone, or one from elsewhere.

import NIO

/// What an alias led to, before the rest is asked elsewhere.
struct AliasChain: Hashable, Sendable {
    var records: [ResourceRecord]
    var target: DomainName
}

/// The pure half of the server. A value that knows one zone.
struct Responder: Sendable {
    /// How many aliases are followed inside the zone.
    static let aliasLimit = 8

    let domain: DomainName
    /// Nil until the first full picture is in: until then nobody is told that a name does not exist.
    var zone: Zone?
    var canForward: Bool

    enum Resolution: Sendable {
        case answer(ByteBuffer, ResponseCode)
        /// Ask upstream, and pass on what it says.
        case forward
        /// An alias leads out of the zone: ask upstream for its target instead.
        case follow(AliasChain)
    }

    private var flags: UInt16 { canForward ? HeaderFlags.recursionAvailable : 0 }

    /// `rotation` turns the order of the answers, so that clients that take the first spread.
    func resolve(_ query: Query, limitBytes: Int, rotation: Int = 0) -> Resolution {
        let isServed = query.classNumber == Question.internet || query.classNumber == Question.anyClass
        guard isServed, query.type != .axfr, query.type != .ixfr, query.type != .opt else {
            return refusal(query, .refused, limitBytes)
        }
        let name = query.bytes[query.name]
        let isOurs = DomainName.ends(name, with: domain.wire)
        guard let zone else {
            return isOurs || !canForward ? refusal(query, .serverFailure, limitBytes) : elsewhere(query, limitBytes)
        }
        guard let node = zone.find(name) else {
            guard isOurs else {
                return canForward ? elsewhere(query, limitBytes) : refusal(query, .refused, limitBytes)
            }
            var writer = AnswerWriter(to: query, limitBytes: limitBytes)
            writer.append(owner: domainPointer(in: query), zone.startOfAuthority[...], to: .authorities)
            return finished(&writer, query, .noSuchName)
        }
        return answered(query, zone, node, isOurs: isOurs, limitBytes: limitBytes, rotation: rotation)
    }

    /// A client that wants no recursion only gets what is here.
    private func elsewhere(_ query: Query, _ limitBytes: Int) -> Resolution {
        query.isRecursionDesired ? .forward : refusal(query, .refused, limitBytes)
    }

    /// An answer of a code alone.
    func refusal(_ query: Query, _ code: ResponseCode, _ limitBytes: Int) -> Resolution {
        var writer = AnswerWriter(to: query, limitBytes: limitBytes)
        return .answer(writer.finish(to: query.bytes, code: code, flags: flags), code)
    }

    private func finished(_ writer: inout AnswerWriter, _ query: Query, _ code: ResponseCode) -> Resolution {
        .answer(writer.finish(to: query.bytes, code: code, flags: flags | HeaderFlags.authoritative), code)
    }

    /// The domain as the end of the question's name.
    private func domainPointer(in query: Query) -> UInt16 {
        0xc000 | UInt16(truncatingIfNeeded: query.name.upperBound - domain.wire.count)
    }

    private func answered(
        _ query: Query, _ zone: Zone, _ first: ZoneNode, isOurs: Bool, limitBytes: Int, rotation: Int
    ) -> Resolution {
        var writer = AnswerWriter(to: query, limitBytes: limitBytes)
        // A reverse name is a zone of its own here, so its start of authority is too.
        let authorityOwner = isOurs ? domainPointer(in: query) : AnswerWriter.questionPointer
        var node = first
        var owner = AnswerWriter.questionPointer
        var chain = AliasChain(records: [], target: query.domainName)
        for _ in 0..<Self.aliasLimit {
            if query.type == .any, !node.sets.isEmpty {
                for set in node.sets { append(set, owner, rotation, to: &writer) }
                return finished(&writer, query, .success)
            }
            if let set = node.set(query.type) {
                let start = writer.position
                append(set, owner, rotation, to: &writer)
                if query.type == .srv { appendTargets(of: set, from: start, zone, rotation, to: &writer) }
                return finished(&writer, query, .success)
            }
            guard let alias = node.alias, let set = node.set(.cname) else {
                writer.append(owner: authorityOwner, zone.startOfAuthority[...], to: .authorities)
                return finished(&writer, query, .success)
            }
            chain.records.append(
                ResourceRecord(name: chain.target, timeToLiveSeconds: Zone.timeToLiveSeconds, data: .cname(alias)))
            chain.target = alias
            let target = writer.position + 2 + ZoneNode.bodyHeaderBytes
            writer.append(owner: owner, set.body(0), to: .answers)
            owner = 0xc000 | UInt16(truncatingIfNeeded: target)
            guard alias.isWithin(domain) else {
                guard canForward, query.isRecursionDesired else { return finished(&writer, query, .success) }
                return .follow(chain)
            }
            guard let next = zone.find(alias.wire[...]) else {
                // Behind an alias, RFC 6604 wants the code of the last name.
                writer.append(owner: authorityOwner, zone.startOfAuthority[...], to: .authorities)
                return finished(&writer, query, .noSuchName)
            }
            node = next
        }
        return refusal(query, .serverFailure, limitBytes)
    }

    private func append(_ set: RecordSet, _ owner: UInt16, _ rotation: Int, to writer: inout AnswerWriter) {
        let count = set.count
        let first = count > 1 ? Int(rotation.magnitude % UInt(count)) : 0
        for index in first..<(first + count) {
            let body = set.body(index < count ? index : index - count)
            guard writer.append(owner: owner, body, to: .answers) else { return }
        }
    }

    /// The addresses of SRV targets, which saves the client a question each. They follow in the order of the answers,
    /// and their owners point into these; `start` is where the first answer is.
    private func appendTargets(
        of set: RecordSet, from start: Int, _ zone: Zone, _ rotation: Int, to writer: inout AnswerWriter
    ) {
        var seen: Set<[UInt8]> = []
        let count = set.count
        let first = count > 1 ? Int(rotation.magnitude % UInt(count)) : 0
        var at = start
        for index in first..<(first + count) {
            let body = set.body(index < count ? index : index - count)
            // Priority, weight and port come before the target.
            let inBody = ZoneNode.bodyHeaderBytes + 6
            let target = Array(body.dropFirst(inBody))
            let place = at + 2 + inBody
            at += 2 + body.count
            guard place < 0x4000, seen.insert(target).inserted, let node = zone.find(target[...]) else { continue }
            for type in [RecordType.a, .aaaa] {
                guard let addresses = node.set(type) else { continue }
                for each in 0..<addresses.count {
                    let owner = 0xc000 | UInt16(truncatingIfNeeded: place)
                    guard writer.append(owner: owner, addresses.body(each), to: .additionals) else { return }
                }
            }
        }
    }
}
