// What Eureka clients of one namespace see: applications, their hash, and the changes of the last minutes.

import Catalogue

/// A moment by both clocks: one that only grows, and the time of day in milliseconds since 1970.
struct Moment: Sendable {
    var instant: ContinuousClock.Instant
    var milliseconds: Int64
}

/// The registry as one versioned state, from which both full lists and deltas are read, so that they always agree.
///
/// Whoever applies a delta to the state of at most `deltaWindow` ago has this state; whoever is further behind sees by
/// the hash that something is missing and fetches it all, as Eureka clients do.
struct RegistryViewMachine: Sendable {
    /// How an instance looks now, or looked before it went.
    struct Entry: Sendable {
        var instance: Instance
        var service: ServiceName
        var status: InstanceStatus
        var action: ActionType
        /// Which change made it look so.
        var change: UInt64
        var updated: Int64
    }

    /// What a service gives to one application.
    struct Contribution: Sendable, Hashable {
        var app: String
        var id: String
        var status: InstanceStatus
        var instance: Instance
    }

    /// Where an instance answers.
    struct Dialled: Hashable {
        var address: String
        var port: Int

        init(_ instance: Instance) {
            address = instance.address
            port = instance.port
        }
    }

    private struct Place: Hashable {
        var app: String
        var id: String
    }

    private struct Change {
        var number: UInt64
        var place: Place
        var at: ContinuousClock.Instant
    }

    /// Changes stay in deltas for so long (Netflix: retentionTimeInMSInDeltaQueue).
    static let deltaWindow: Duration = .seconds(180)
    /// Changes beyond these are forgotten early; clients that miss them fetch it all.
    static let deltaLimit = 50_000

    /// Grows with every change that can be seen.
    private(set) var version: UInt64
    private var apps: [String: [String: Entry]] = [:]
    /// By application and id.
    private var contributions: [ServiceName: [String: [String: Contribution]]] = [:]
    private var services: [String: Set<ServiceName>] = [:]
    private var counts: [InstanceStatus: Int] = [:]
    /// Oldest first; one that a later change of the same place overtook stays until its time and is passed over.
    private var changes: [Change] = []
    private var firstChange = 0
    /// What the changes say of instances that are no more, by application and id.
    private var gone: [String: [String: Entry]] = [:]

    init(firstVersion: UInt64 = 0) { version = firstVersion }

    // MARK: Inputs

    /// These are all the instances of a service.
    mutating func changed(_ service: ServiceName, _ given: [Contribution], now: Moment) {
        var fresh: [String: [String: Contribution]] = [:]
        for one in given { fresh[one.app, default: [:]][one.id] = one }
        let old = contributions.updateValue(fresh, forKey: service) ?? [:]
        if fresh.isEmpty { contributions[service] = nil }
        for app in Set(old.keys).union(fresh.keys) {
            if fresh[app] == nil {
                services[app]?.remove(service)
                if services[app]?.isEmpty == true { services[app] = nil }
            } else {
                services[app, default: []].insert(service)
            }
            if old[app] != fresh[app] { refresh(app, now: now) }
        }
        forget(now: now.instant)
    }

    /// Time passed: old changes leave the delta.
    mutating func timePassed(now: ContinuousClock.Instant) { forget(now: now) }

    // MARK: Reading

    /// `DOWN_1_UP_3_`, empty without instances (`Applications#getReconcileHashCode`).
    var hashCode: String { Self.hashCode(counts) }

    static func hashCode(of statuses: some Sequence<InstanceStatus>) -> String {
        hashCode(statuses.reduce(into: [:]) { $0[$1, default: 0] += 1 })
    }

    private static func hashCode(_ counts: [InstanceStatus: Int]) -> String {
        counts.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map { "\($0.key.rawValue)_\($0.value)_" }.joined()
    }

    /// Whether there is nothing to see and nobody to tell of what there was.
    var isIdle: Bool { apps.isEmpty && firstChange == changes.count }

    /// The names of the applications, sorted.
    var names: [String] { apps.keys.sorted() }

    var instanceCount: Int { counts.values.reduce(0, +) }

    /// What a service gave last.
    func known(of service: ServiceName) -> [Dialled: Contribution] {
        var known: [Dialled: Contribution] = [:]
        for one in (contributions[service] ?? [:]).values.lazy.flatMap(\.values) { known[Dialled(one.instance)] = one }
        return known
    }

    var serviceNames: some Sequence<ServiceName> { contributions.keys }

    /// The instances of an application in the order of their ids; empty when there is none.
    func entries(of app: String) -> [(id: String, entry: Entry)] {
        (apps[app] ?? [:]).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    func entry(_ id: String, of app: String) -> Entry? { apps[app]?[id] }

    /// The services that an application's instances come from, or came from within the window: who asks for it then has
    /// seen that they are gone.
    func services(of app: String) -> Set<ServiceName> {
        (services[app] ?? []).union((gone[app] ?? [:]).values.map(\.service))
    }

    /// Every instance that went within the window.
    var departed: [Entry] { gone.values.flatMap(\.values) }

    /// What changed within the window, each place once as it is now, by application.
    func delta(now: ContinuousClock.Instant) -> [String: [(id: String, entry: Entry)]] {
        var result: [String: [(id: String, entry: Entry)]] = [:]
        for change in changes[firstChange...] where change.at.duration(to: now) <= Self.deltaWindow {
            let (app, id) = (change.place.app, change.place.id)
            guard let entry = apps[app]?[id] ?? gone[app]?[id], entry.change == change.number else { continue }
            result[app, default: []].append((id, entry))
        }
        return result
    }

    // MARK: Inside

    /// Brings an application in line with what its services give.
    private mutating func refresh(_ app: String, now: Moment) {
        let wanted = union(of: app)
        let present = apps[app] ?? [:]
        for (id, entry) in present where wanted[id] == nil {
            record(Place(app: app, id: id), entry, .deleted, now)
        }
        for (id, (service, one)) in wanted {
            if let entry = present[id], entry.instance == one.instance { continue }
            let entry = Entry(
                instance: one.instance, service: service, status: one.status, action: .added, change: 0, updated: 0)
            record(Place(app: app, id: id), entry, present[id] == nil ? .added : .modified, now)
        }
    }

    /// One instance for each address and port; one that registered in Eureka goes before the same one from elsewhere.
    private func union(of app: String) -> [String: (ServiceName, Contribution)] {
        var best: [Dialled: (service: ServiceName, one: Contribution)] = [:]
        for service in (services[app] ?? []).sorted() {
            for one in (contributions[service]?[app] ?? [:]).values {
                let place = Dialled(one.instance)
                if let other = best[place]?.one, Self.rank(other) <= Self.rank(one) { continue }
                best[place] = (service, one)
            }
        }
        var result: [String: (ServiceName, Contribution)] = [:]
        for (service, one) in best.values.sorted(by: { Self.isBefore($0, $1) }) where result[one.id] == nil {
            result[one.id] = (service, one)
        }
        return result
    }

    private static func rank(_ one: Contribution) -> (Int, String) {
        (one.instance.origin == .eureka && !one.instance.isImplied ? 0 : 1, one.id)
    }

    private static func isBefore(
        _ left: (service: ServiceName, one: Contribution), _ right: (service: ServiceName, one: Contribution)
    ) -> Bool {
        (left.service, left.one.instance.port) < (right.service, right.one.instance.port)
    }

    private mutating func record(_ place: Place, _ entry: Entry, _ action: ActionType, _ now: Moment) {
        version += 1
        var entry = entry
        entry.action = action
        entry.change = version
        entry.updated = now.milliseconds
        if let old = apps[place.app]?[place.id] { counts[old.status, default: 0] -= 1 }
        if action == .deleted {
            apps[place.app]?[place.id] = nil
            if apps[place.app]?.isEmpty == true { apps[place.app] = nil }
            gone[place.app, default: [:]][place.id] = entry
        } else {
            apps[place.app, default: [:]][place.id] = entry
            counts[entry.status, default: 0] += 1
            forgetGone(place)
        }
        changes.append(Change(number: version, place: place, at: now.instant))
    }

    private mutating func forgetGone(_ place: Place) {
        gone[place.app]?[place.id] = nil
        if gone[place.app]?.isEmpty == true { gone[place.app] = nil }
    }

    private mutating func forget(now: ContinuousClock.Instant) {
        while firstChange < changes.count {
            let change = changes[firstChange]
            let isOld = change.at.duration(to: now) > Self.deltaWindow
            guard isOld || changes.count - firstChange > Self.deltaLimit else { break }
            if gone[change.place.app]?[change.place.id]?.change == change.number { forgetGone(change.place) }
            firstChange += 1
        }
        // The array is let go of in halves, so that each change is moved a bounded number of times.
        if firstChange > 1024, firstChange * 2 > changes.count {
            changes.removeFirst(firstChange)
            firstChange = 0
        }
    }
}
