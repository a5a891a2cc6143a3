// Keeps answers from elsewhere for as long as they say, and a while longer for when nobody else answers.

/// What was asked: name in lower case, type, class, and the wishes that change the answer.
struct QuestionKey: Hashable, Sendable {
    let bytes: [UInt8]

    init(_ query: Query) {
        self.init(query.question, wantsSecurity: query.extension?.wantsSecurity ?? false, query.isCheckingDisabled)
    }

    init(_ question: Question, wantsSecurity: Bool = false) {
        let numbers = [question.type.rawValue, question.classNumber].flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
        self.init((question.name.wire + numbers)[...], wantsSecurity: wantsSecurity, false)
    }

    private init(_ question: ArraySlice<UInt8>, wantsSecurity: Bool, _ isCheckingDisabled: Bool) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(question.count + 1)
        for byte in question.dropLast(4) { bytes.append(DomainName.folded(byte)) }
        bytes += question.suffix(4)
        bytes.append((wantsSecurity ? 2 : 0) | (isCheckingDisabled ? 1 : 0))
        self.bytes = bytes
    }

    var question: Question {
        let name = bytes.dropLast(5)
        let rest = Array(bytes.suffix(5))
        return Question(
            name: DomainName(wire: Array(name)), type: RecordType(rawValue: UInt16(rest[0]) << 8 | UInt16(rest[1])),
            classNumber: UInt16(rest[2]) << 8 | UInt16(rest[3]))
    }

    var wantsSecurity: Bool { (bytes.last ?? 0) & 2 != 0 }
    var isCheckingDisabled: Bool { (bytes.last ?? 0) & 1 != 0 }
}

/// A cache with limits (RFC 2308 for denials, RFC 8767 for stale answers). What was not asked for lately goes first, by
/// a hand that goes round and passes what was used since it last came by.
///
/// Time is the milliseconds since a fixed moment that the shell chose, never going back.
struct AnswerCacheMachine: Sendable {
    static let entryLimit = 10_000
    static let byteLimit = 16 << 20
    /// How long after its end an answer may still be given when nobody gives a fresh one.
    static let staleLimitMilliseconds: Int64 = 86_400_000
    /// After a failure upstream is not asked again for this long while there is a stale answer (RFC 8767, section 5).
    static let recheckMilliseconds: Int64 = 30_000
    /// An answer that is asked for in the last tenth of its life is fetched anew, if its life is worth it.
    static let prefetchLeastSeconds: UInt32 = 10

    enum Found: Sendable {
        /// `isEnding` once, so that one asker fetches it anew.
        case fresh(StoredAnswer, ageSeconds: UInt32, isEnding: Bool)
        /// Over, and only to be given when a fresh one cannot be had; `mayAsk` says whether to try that.
        case stale(StoredAnswer, mayAsk: Bool)
        case none
    }

    struct Counts: Sendable {
        var hits: [StoredAnswer.Kind: UInt64] = [:]
        var misses: UInt64 = 0
        var staleHits: UInt64 = 0
        var prefetches: UInt64 = 0
        var evictions: UInt64 = 0
    }

    private struct Entry: Sendable {
        var key: QuestionKey
        var answer: StoredAnswer
        var storedAt: Int64
        var isUsed = false
        var isFetched = false
        var failedAt: Int64?
    }

    private var entries: [Entry?] = []
    private var free: [Int] = []
    private var places: [QuestionKey: Int] = [:]
    private var hand = 0
    private(set) var sizeBytes = 0
    private(set) var counts = Counts()
    private let entryLimit: Int
    private let byteLimit: Int

    init(entryLimit: Int = Self.entryLimit, byteLimit: Int = Self.byteLimit) {
        self.entryLimit = entryLimit
        self.byteLimit = byteLimit
    }

    var count: Int { places.count }

    mutating func find(_ key: QuestionKey, now: Int64) -> Found {
        guard let place = places[key], let entry = entries[place] else {
            counts.misses += 1
            return .none
        }
        let age = now - entry.storedAt
        let life = Int64(entry.answer.lifeSeconds) * 1000
        entries[place]?.isUsed = true
        if age < life {
            counts.hits[entry.answer.kind, default: 0] += 1
            let isEnding =
                !entry.isFetched && age * 10 >= life * 9 && entry.answer.kind == .records
                && entry.answer.lifeSeconds >= Self.prefetchLeastSeconds
            if isEnding {
                entries[place]?.isFetched = true
                counts.prefetches += 1
            }
            return .fresh(entry.answer, ageSeconds: UInt32(clamping: age / 1000), isEnding: isEnding)
        }
        guard entry.answer.kind != .failure, age < life + Self.staleLimitMilliseconds else {
            remove(place)
            counts.misses += 1
            return .none
        }
        let mayAsk = entry.failedAt.map { now - $0 >= Self.recheckMilliseconds } ?? true
        if mayAsk { counts.misses += 1 } else { counts.staleHits += 1 }
        return .stale(entry.answer, mayAsk: mayAsk)
    }

    /// An answer came. One that may not be kept takes away what was kept instead of it.
    mutating func answered(_ key: QuestionKey, _ answer: StoredAnswer, now: Int64) {
        if let place = places[key] { remove(place) }
        guard answer.lifeSeconds > 0, answer.sizeBytes + key.bytes.count <= byteLimit else { return }
        while places.count >= entryLimit || sizeBytes + answer.sizeBytes + key.bytes.count > byteLimit {
            evictOne(now: now)
        }
        let entry = Entry(key: key, answer: answer, storedAt: now)
        if let place = free.popLast() {
            entries[place] = entry
            places[key] = place
        } else {
            entries.append(entry)
            places[key] = entries.count - 1
        }
        sizeBytes += answer.sizeBytes + key.bytes.count
    }

    /// Nobody answered. A stale answer stays, and is given without asking for a while; otherwise the failure is kept.
    mutating func failed(_ key: QuestionKey, _ failure: StoredAnswer, now: Int64) {
        guard let place = places[key], let entry = entries[place], entry.answer.kind != .failure else {
            answered(key, failure, now: now)
            return
        }
        entries[place]?.failedAt = now
    }

    /// A stale answer was given because a fresh one did not come.
    mutating func gaveStale() { counts.staleHits += 1 }

    private mutating func evictOne(now: Int64) {
        while true {
            if hand >= entries.count { hand = 0 }
            defer { hand += 1 }
            guard let entry = entries[hand] else { continue }
            let isOver = now - entry.storedAt >= Int64(entry.answer.lifeSeconds) * 1000
            if entry.isUsed, !isOver {
                entries[hand]?.isUsed = false
            } else {
                counts.evictions += 1
                remove(hand)
                return
            }
        }
    }

    private mutating func remove(_ place: Int) {
        guard let entry = entries[place] else { return }
        entries[place] = nil
        free.append(place)
        places[entry.key] = nil
        sizeBytes -= entry.answer.sizeBytes + entry.key.bytes.count
    }
}
