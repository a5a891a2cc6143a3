// Long polls of configuration: a caller with its fingerprints waits until one is out of date.

import Configurations
import Synchronization
import Timing

/// One item that a caller knows, in the caller's own words.
struct ListenedItem: Hashable, Sendable {
    var name: ConfigName
    /// As spoken: empty or absent is not the same as `public` to the client that looks its answer up.
    var tenant: String?
    var group: String
    var md5: String
}

/// `dataId ␂ group ␂ md5 [␂ tenant] ␁ …` (`MD5Util.getClientMd5Map`).
enum ListeningConfigs {
    static let word = Character("\u{2}")
    static let line = Character("\u{1}")
    /// Items of one poll; clients ask for 3,000 at once.
    static let limit = 10_000

    static func items(parsing text: String) throws(NacosProblem) -> [ListenedItem] {
        var items: [ListenedItem] = []
        for line in text.split(separator: Self.line) {
            let words = line.split(separator: word, omittingEmptySubsequences: false).map(String.init)
            guard (3...4).contains(words.count), items.count < limit else { throw .invalid("invalid probeModify") }
            let tenant = words.count == 4 ? words[3] : nil
            let name = try NacosNames.item(namespace: tenant, group: words[1], dataID: words[0])
            items.append(ListenedItem(name: name, tenant: tenant, group: words[1], md5: words[2]))
        }
        guard !items.isEmpty else { throw .invalid("invalid probeModify") }
        return items
    }

    /// The items that are out of date, as the answer to a poll: URL-encoded, empty for none.
    static func answer(_ items: [ListenedItem]) -> String {
        let lines = items.map { item in
            var words = [item.name.dataID, item.group]
            if let tenant = item.tenant, !tenant.isEmpty { words.append(tenant) }
            return words.joined(separator: String(word)) + String(line)
        }
        return urlEncoded(lines.joined())
    }

    /// As `java.net.URLEncoder` does.
    static func urlEncoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x2A: result.append(byte)
            case 0x20: result.append(0x2B)
            default: result += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// Those who wait for items to change. Needs someone to call `changed`.
final class ConfigPolling: Sendable {
    private struct Waiting {
        var names: Set<ConfigName>
        var continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var waiting: [UInt64: Waiting] = [:]
        var byName: [ConfigName: Set<UInt64>] = [:]
        var next: UInt64 = 0
        /// Counts changes, so that one between a look and the wait is not missed.
        var changes: UInt64 = 0
    }

    /// Polls beyond this are answered at once.
    static let limit = 20_000
    /// The longest that a poll is held, whatever the client asks for.
    static let longestHold: Duration = .seconds(120)
    static let shortestHold: Duration = .seconds(10)
    /// A poll is answered so much earlier than the client would give up.
    static let margin: Duration = .milliseconds(500)

    private let state = Mutex(State())

    init() {}

    /// How long a poll that the client gives up after these milliseconds is held.
    static func hold(forMilliseconds milliseconds: Int) -> Duration {
        min(max(.milliseconds(milliseconds) - margin, shortestHold), longestHold)
    }

    func changed(_ changes: Changes<ConfigName>) {
        let woken = state.withLock { state in
            state.changes += 1
            var ids = Set(state.waiting.keys)
            if case .names(let names) = changes {
                ids = names.reduce(into: []) { $0.formUnion(state.byName[$1] ?? []) }
            }
            return ids.compactMap { Self.take($0, &state)?.continuation }
        }
        for continuation in woken { continuation.resume() }
    }

    /// Asks `stale` until it names something or the time is up; it is asked again after each change.
    func wait(
        for names: Set<ConfigName>, hold: Duration, _ stale: @Sendable () -> [ListenedItem]
    ) async -> [ListenedItem] {
        let deadline = ContinuousClock.now + hold
        while !Task.isCancelled {
            let seen = state.withLock { $0.changes }
            let found = stale()
            if !found.isEmpty || ContinuousClock.now >= deadline { return found }
            let id = state.withLock { state -> UInt64? in
                guard state.waiting.count < Self.limit else { return nil }
                state.next += 1
                return state.next
            }
            guard let id else { return found }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await self.sleep(id, names, since: seen) }
                group.addTask { try? await Task.sleep(until: deadline, clock: .continuous) }
                await group.next()
                group.cancelAll()
            }
        }
        return []
    }

    private func sleep(_ id: UInt64, _ names: Set<ConfigName>, since seen: UInt64) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    guard !Task.isCancelled, state.changes == seen else { return true }
                    state.waiting[id] = Waiting(names: names, continuation: continuation)
                    for name in names { state.byName[name, default: []].insert(id) }
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { Self.take(id, &$0) }?.continuation.resume()
        }
    }

    private static func take(_ id: UInt64, _ state: inout State) -> Waiting? {
        guard let waiting = state.waiting.removeValue(forKey: id) else { return nil }
        for name in waiting.names {
            state.byName[name]?.remove(id)
            if state.byName[name]?.isEmpty == true { state.byName[name] = nil }
        }
        return waiting
    }
}
