// Who registered here: overrides, the writers' timestamps, and which silent leases are kept nevertheless.

import Catalogue

/// One registration's name: Eureka knows instances by application and id.
struct RegistrationKey: Hashable, Sendable {
    var namespace: String
    var app: String
    var id: String
}

/// What the catalogue has to be told.
enum RegistrationAction: Sendable, Hashable {
    case register(Instance, ServiceName)
    case deregister(address: String, port: Int, ServiceName)
    case renew(address: String, port: Int, ServiceName)
}

/// When a registry that has lost touch with many of its clients at once stops forgetting them.
struct SelfPreservation: Sendable, Hashable {
    /// Leases are kept while fewer than this share of the instances beat (Netflix: renewalPercentThreshold).
    var renewalShare = 0.85
}

/// Registrations by application and id. Leases end in the catalogue; here is only what Eureka adds to them.
struct RegistrationMachine: Sendable {
    /// What a client said last. A class, as it is large and there are many: to look through them copies none.
    final class Registration: Sendable {
        let info: InstanceInfo
        let service: ServiceName

        init(_ info: InstanceInfo, as service: ServiceName) {
            self.info = info
            self.service = service
        }

        var duration: Duration { .seconds(info.lease.durationSeconds) }
    }

    private struct Entry: Sendable {
        var registration: Registration
        var lastBeat: Moment

        /// Silent until then, it is forgotten. The catalogue's lease ends earlier.
        var end: ContinuousClock.Instant { lastBeat.instant + registration.duration * 2 }
    }

    /// What follows from a beat.
    enum Beat: Sendable, Hashable {
        case unknown
        /// The lease is to be renewed; `isCurrent` is false when the client has to register again nevertheless.
        case renew(RegistrationAction, isCurrent: Bool)
    }

    private var entries: [RegistrationKey: Entry] = [:]
    /// No entry ends earlier: beats only move ends away.
    private var firstEnd: ContinuousClock.Instant?
    private let preservation: SelfPreservation?
    /// Whether silent leases are being kept.
    private(set) var isPreserving = false

    init(preservation: SelfPreservation? = nil) { self.preservation = preservation }

    var count: Int { entries.count }

    func registration(_ key: RegistrationKey) -> Registration? { entries[key]?.registration }

    /// When an instance registered or beat last.
    func lastBeat(_ key: RegistrationKey) -> Moment? { entries[key]?.lastBeat }

    // MARK: Writers

    /// A client registered. Words older than those known are not taken (`AbstractInstanceRegistry#register`); an
    /// override stays in force.
    mutating func registered(
        _ given: InstanceInfo, _ key: RegistrationKey, as service: ServiceName, now: Moment
    ) -> [RegistrationAction] {
        let old = registration(key)
        let isOutdated = old.map { $0.info.lastDirty > given.lastDirty } ?? false
        var info = isOutdated ? old?.info ?? given : given
        if let override = old?.info.overriddenStatus, override != .unknown { info.overriddenStatus = override }
        info.status = InstanceInfo.status(own: info.status, overriddenBy: info.overriddenStatus)
        info.lease.registered = now.milliseconds
        info.lease.serviceUp = old?.info.lease.serviceUp ?? 0
        if info.status == .up, info.lease.serviceUp == 0 { info.lease.serviceUp = now.milliseconds }
        return keep(info, key, isOutdated ? old?.service ?? service : service, now: now)
    }

    /// The catalogue has a registration of before the last start; it goes on as if nothing had been.
    mutating func adopted(
        _ info: InstanceInfo, _ key: RegistrationKey, as service: ServiceName, now: Moment
    ) -> [RegistrationAction] {
        keep(info, key, service, now: now)
    }

    /// A client beat. It has to register again when its words are newer than those known, or when its status is not
    /// known since an override was taken off.
    mutating func beaten(_ key: RegistrationKey, lastDirty: Int64?, now: Moment) -> Beat {
        guard let registration = registration(key), registration.info.status != .unknown else { return .unknown }
        entries[key]?.lastBeat = now
        let isCurrent = lastDirty.map { $0 <= registration.info.lastDirty } ?? true
        return .renew(Self.renewal(of: registration), isCurrent: isCurrent)
    }

    /// Somebody took the instance in or out of service. Nil when it is not known.
    mutating func overridden(
        _ key: RegistrationKey, by status: InstanceStatus, lastDirty: Int64?, now: Moment
    ) -> [RegistrationAction]? {
        guard var info = registration(key)?.info else { return nil }
        info.status = status
        info.overriddenStatus = status
        return changed(info, key, lastDirty: lastDirty, now: now)
    }

    /// The override was taken off. The status is what the caller says; without that nobody knows it until the client
    /// registers again.
    mutating func overrideRemoved(
        _ key: RegistrationKey, status: InstanceStatus, lastDirty: Int64?, now: Moment
    ) -> [RegistrationAction]? {
        guard var info = registration(key)?.info else { return nil }
        guard info.overriddenStatus != .unknown else { return [] }
        info.overriddenStatus = .unknown
        info.status = status
        return changed(info, key, lastDirty: lastDirty, now: now)
    }

    mutating func metadataChanged(
        _ key: RegistrationKey, _ edit: (inout [String: String]) -> Void, now: Moment
    ) -> [RegistrationAction]? {
        guard var info = registration(key)?.info else { return nil }
        edit(&info.metadata)
        return changed(info, key, lastDirty: nil, now: now)
    }

    /// Nil when it is not known.
    mutating func cancelled(_ key: RegistrationKey) -> [RegistrationAction]? {
        guard let old = entries.removeValue(forKey: key)?.registration else { return nil }
        return [.deregister(address: old.info.ipAddress, port: old.info.mainPort, old.service)]
    }

    /// The catalogue no longer has it, or never took it.
    mutating func lost(_ key: RegistrationKey) { entries[key] = nil }

    /// Time passed: whether leases are to be kept, and what has ended long ago is forgotten.
    mutating func timePassed(now: ContinuousClock.Instant) {
        if let preservation {
            let silent = entries.values.count {
                $0.lastBeat.instant.duration(to: now) >= $0.registration.duration * 2 / 3
            }
            isPreserving = Double(entries.count - silent) < Double(entries.count) * preservation.renewalShare
        }
        guard !isPreserving, let firstEnd, now > firstEnd else { return }
        let ended = entries.filter { now > $0.value.end }
        for key in ended.keys { entries[key] = nil }
        self.firstEnd = entries.values.lazy.map(\.end).min()
    }

    // MARK: Inside

    private mutating func changed(
        _ info: InstanceInfo, _ key: RegistrationKey, lastDirty: Int64?, now: Moment
    ) -> [RegistrationAction] {
        guard let old = registration(key) else { return [] }
        var info = info
        if let lastDirty, lastDirty > info.lastDirty { info.lastDirty = lastDirty }
        if info.status == .up, info.lease.serviceUp == 0 { info.lease.serviceUp = now.milliseconds }
        return keep(info, key, old.service, now: now)
    }

    private mutating func keep(
        _ info: InstanceInfo, _ key: RegistrationKey, _ service: ServiceName, now: Moment
    ) -> [RegistrationAction] {
        let entry = Entry(registration: Registration(info, as: service), lastBeat: now)
        firstEnd = min(firstEnd ?? entry.end, entry.end)
        let old = entries.updateValue(entry, forKey: key)?.registration
        var actions: [RegistrationAction] = [.register(info.record, service)]
        // The new place is there before the old one goes.
        if let old, old.service != service || old.info.ipAddress != info.ipAddress || old.info.mainPort != info.mainPort
        {
            actions.append(.deregister(address: old.info.ipAddress, port: old.info.mainPort, old.service))
        }
        return actions
    }

    private static func renewal(of registration: Registration) -> RegistrationAction {
        .renew(address: registration.info.ipAddress, port: registration.info.mainPort, registration.service)
    }
}
