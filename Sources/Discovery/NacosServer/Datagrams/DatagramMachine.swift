// Which 1.x clients are told of changes by UDP, what each was sent, and what it has acknowledged.

import Catalogue

/// Where a client takes datagrams.
struct DatagramClient: Hashable, Sendable {
    var address: String
    var port: Int
    /// The address of ours that it asked at.
    var listener: String
}

/// The pure part of `Datagrams`. A follower is a client with a service; it ends when the client stops asking.
struct DatagramMachine: Sendable {
    struct Follower: Hashable, Sendable {
        var client: DatagramClient
        var service: ServiceName
        var subscriber: SubscriberID
        var selection: ServiceSelection
    }

    enum Action: Sendable, Equatable {
        /// Send the newest view; `again` when it was sent before and not answered.
        case send(Follower, again: Bool)
        /// The client has not asked for long.
        case ended(Follower)
    }

    private struct Place: Hashable, Sendable {
        var address: String
        var port: Int
    }

    private struct Entry: Sendable {
        var follower: Follower
        var expires: ContinuousClock.Instant
        var awaited: (version: UInt64, deadline: ContinuousClock.Instant, attempts: Int)?
    }

    /// Followers beyond this are not told; they poll.
    static let limit = 50_000
    static let answerPatience: Duration = .seconds(5)
    /// After so many datagrams without an answer the client's next poll has to do.
    static let attemptLimit = 3
    /// A client that has not asked for so long is gone; it is asked to come every 10 s.
    static let patience: Duration = .seconds(30)

    private var entries: [Place: [ServiceName: Entry]] = [:]
    private var places: [ServiceName: Set<Place>] = [:]
    private(set) var count = 0

    /// A client asked for a service. False when there are too many followers.
    mutating func asked(_ follower: Follower, now: ContinuousClock.Instant) -> Bool {
        let place = Place(address: follower.client.address, port: follower.client.port)
        let isKnown = entries[place]?[follower.service] != nil
        guard isKnown || count < Self.limit else { return false }
        if !isKnown { count += 1 }
        // The answer carries the newest view, so nothing is awaited any more.
        entries[place, default: [:]][follower.service] = Entry(follower: follower, expires: now + Self.patience)
        places[follower.service, default: []].insert(place)
        return true
    }

    func changed(_ service: ServiceName) -> [Action] {
        (places[service] ?? []).compactMap { entries[$0]?[service] }.map { .send($0.follower, again: false) }
    }

    func everythingChanged() -> [Action] {
        entries.values.flatMap { $0.values.map { .send($0.follower, again: false) } }
    }

    mutating func sent(_ follower: Follower, version: UInt64, now: ContinuousClock.Instant) {
        let place = Place(address: follower.client.address, port: follower.client.port)
        guard let entry = entries[place]?[follower.service] else { return }
        let attempts = entry.awaited?.version == version ? (entry.awaited?.attempts ?? 0) + 1 : 1
        entries[place]?[follower.service]?.awaited = (version, now + Self.answerPatience, attempts)
    }

    /// An answer came from this place; returns who has thereby taken in the version.
    mutating func answered(address: String, port: Int, version: UInt64) -> Follower? {
        let place = Place(address: address, port: port)
        guard let entry = entries[place]?.values.first(where: { $0.awaited?.version == version }) else { return nil }
        entries[place]?[entry.follower.service]?.awaited = nil
        return entry.follower
    }

    mutating func timePassed(now: ContinuousClock.Instant) -> [Action] {
        var actions: [Action] = []
        for (place, services) in entries {
            for (service, entry) in services {
                if entry.expires <= now {
                    remove(place, service)
                    actions.append(.ended(entry.follower))
                } else if let awaited = entry.awaited, awaited.deadline <= now {
                    if awaited.attempts >= Self.attemptLimit {
                        entries[place]?[service]?.awaited = nil
                    } else {
                        actions.append(.send(entry.follower, again: true))
                    }
                }
            }
        }
        return actions
    }

    private mutating func remove(_ place: Place, _ service: ServiceName) {
        entries[place]?[service] = nil
        if entries[place]?.isEmpty == true { entries[place] = nil }
        places[service]?.remove(place)
        if places[service]?.isEmpty == true { places[service] = nil }
        count -= 1
    }
}
