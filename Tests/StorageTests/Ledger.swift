// What a killed program was promised, compared with what its store remembers.

import Fuzzing
import Objects

@testable import Storage

/// The history of one store over several lives of its process, put together from what the process noted.
struct Ledger {
    private struct Write: Hashable {
        var isDeletion: Bool
        var key: String
        var previous: UInt64
    }

    private struct Watch {
        var place: UInt64
        /// Whether the place follows from what the watcher saw, or is a new beginning.
        var isKnown: Bool
    }

    /// Every write that the store has made, by its revision: element 0 is revision 1.
    private var writes: [Write] = []
    private var watches: [Int: Watch] = [:]
    private static let prefixes = ["/", "/", "/a/", "/b/"]

    var revision: UInt64 { UInt64(writes.count) }
    /// Where each watcher goes on in the next life.
    var places: [UInt64] { (0..<4).map { watches[$0]?.place ?? 0 } }

    /// Takes in the notes of one life and compares them with the store that it left. Returns what is wrong.
    mutating func faults(in log: [UInt8], _ store: Store) -> [String] {
        // A line that the kill cut off was not written.
        let whole = log.prefix(log.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0)
        let lines = String(decoding: whole, as: UTF8.self).split(separator: "\n").map {
            $0.split(separator: " ").map(String.init)
        }
        var faults: [String] = []
        let before = revision
        if let opened = lines.first(where: { $0[0] == "open" }), UInt64(opened[1]) != before {
            faults.append("opened at revision \(opened[1]) instead of \(before)")
        }
        faults += extend(with: lines, store)
        faults += stateFaults(store)
        faults += watchFaults(lines)
        faults += pageFaults(lines)
        return faults
    }

    /// Adds the writes of a life: those acknowledged, and those that nobody was told of and that are there all the
    /// same.
    private mutating func extend(with lines: [[String]], _ store: Store) -> [String] {
        let before = revision
        var asked: [String: Write] = [:]
        var acknowledged: [UInt64: Write] = [:]
        var faults: [String] = []
        for line in lines {
            switch line[0] {
            case "refused": faults.append("the store could not be opened: \(line.dropFirst().joined(separator: " "))")
            case "ask":
                asked[line[1]] = Write(isDeletion: line[2] == "delete", key: line[3], previous: UInt64(line[4]) ?? 0)
            case "no": asked[line[1]] = nil
            case "ack":
                let revision = UInt64(line[2]) ?? 0
                if revision <= before { faults.append("revision \(revision) was given a second time") }
                if acknowledged[revision] != nil { faults.append("two writers were given revision \(revision)") }
                acknowledged[revision] = asked.removeValue(forKey: line[1])
            default: break
            }
        }
        if let newest = acknowledged.keys.max(), newest > store.revision {
            faults.append("revision \(newest) was acknowledged, and the store is at \(store.revision)")
        }
        guard store.revision >= before else { return faults + ["revision fell from \(before) to \(store.revision)"] }
        var unanswered = Array(asked.values)
        for revision in (before + 1)..<(store.revision + 1) {
            if let write = acknowledged[revision] {
                writes.append(write)
                continue
            }
            // History holds it: no more writers are without an answer than it has room for.
            guard let event = try? store.events(after: revision - 1, prefix: "/", limit: 1).events.first,
                let place = unanswered.firstIndex(of: Self.write(of: event))
            else { return faults + ["nobody asked for the write of revision \(revision)"] }
            writes.append(unanswered.remove(at: place))
        }
        return faults
    }

    private static func write(of event: StoreEvent) -> Write {
        Write(isDeletion: event.kind == .delete, key: event.key, previous: event.previous?.revision ?? 0)
    }

    /// What the store holds and remembers is what was written, whole.
    private func stateFaults(_ store: Store) -> [String] {
        var faults: [String] = []
        let expected = state(at: revision)
        let found = (try? store.page(prefix: "/").records) ?? []
        if found.map(\.key) != expected.keys.sorted() { faults.append("the store holds other keys than were written") }
        for record in found {
            if expected[record.key]?.revision != record.revision {
                faults.append(
                    "\(record.key) is at revision \(record.revision), not \(expected[record.key]?.revision ?? 0)")
            }
            if expected[record.key]?.created != record.createRevision {
                faults.append("\(record.key) forgot its beginning")
            }
            if record.bytes != Value.bytes(key: record.key, revision: record.revision) {
                faults.append("\(record.key) of revision \(record.revision) is not whole")
            }
        }
        var next = store.oldestRevision
        guard let events = try? store.events(after: next, prefix: "/", limit: .max).events else {
            return faults + ["the oldest revision cannot be read from"]
        }
        for event in events {
            next += 1
            if event.revision != next { faults.append("history has revision \(event.revision) where \(next) belongs") }
            if next <= revision, Self.write(of: event) != writes[Int(next) - 1] {
                faults.append("history tells revision \(next) in another way than its writer")
            }
            if event.record.bytes != Value.bytes(key: event.key, revision: event.revision) {
                faults.append("history holds half of revision \(next)")
            }
        }
        if next != revision { faults.append("history ends at \(next), not at \(revision)") }
        return faults
    }

    private typealias State = [String: (revision: UInt64, created: UInt64)]

    private func state(at revision: UInt64) -> State {
        var state: State = [:]
        apply(1..<(revision + 1), to: &state)
        return state
    }

    private func apply(_ revisions: Range<UInt64>, to state: inout State) {
        for revision in revisions {
            let write = writes[Int(revision) - 1]
            state[write.key] = write.isDeletion ? nil : (revision, state[write.key]?.created ?? revision)
        }
    }

    /// Each watcher saw every event of its prefix after the place it began at, once and in order.
    private mutating func watchFaults(_ lines: [[String]]) -> [String] {
        var faults: [String] = []
        for line in lines where ["from", "see", "lost"].contains(line[0]) {
            let name = Int(line[1]) ?? 0
            var watch = watches[name] ?? Watch(place: 0, isKnown: false)
            let prefix = Self.prefixes[name]
            switch line[0] {
            case "lost": watch.isKnown = false
            case "from":
                let place = UInt64(line[2]) ?? 0
                if watch.isKnown, let missed = firstEvent(of: prefix, after: watch.place, upTo: place) {
                    faults.append("watcher \(name) went on from \(place) and missed revision \(missed)")
                }
                watch = Watch(place: place, isKnown: true)
            default:
                let revision = UInt64(line[2]) ?? 0
                let expected = firstEvent(of: prefix, after: watch.place, upTo: self.revision)
                if expected != revision {
                    faults.append("watcher \(name) saw revision \(revision) where \(expected ?? 0) was next")
                } else if writes[Int(revision) - 1].key != line[4]
                    || writes[Int(revision) - 1].isDeletion != (line[3] == "delete")
                {
                    faults.append("watcher \(name) saw another event as revision \(revision)")
                }
                watch.place = revision
            }
            watches[name] = watch
        }
        return faults
    }

    private func firstEvent(of prefix: String, after place: UInt64, upTo end: UInt64) -> UInt64? {
        var revision = place + 1
        while revision <= min(end, self.revision) {
            if writes[Int(revision) - 1].key.hasPrefix(prefix) { return revision }
            revision += 1
        }
        return nil
    }

    /// Each list shows one moment, whatever was written while its pages were turned.
    private func pageFaults(_ lines: [[String]]) -> [String] {
        var faults: [String] = []
        var state: State = [:]
        var reached: UInt64 = 0
        let pages = lines.filter { $0[0] == "page" }.map { (revision: UInt64($0[1]) ?? 0, line: $0) }
        for (revision, line) in pages.sorted(by: { $0.revision < $1.revision }) {
            apply(reached + 1..<revision + 1, to: &state)
            reached = revision
            let expected = state.filter { $0.key.hasPrefix(line[2]) }
            let wanted = expected.keys.sorted().map { "\($0)=\(expected[$0]?.revision ?? 0)" }
            if Array(line.dropFirst(3)) != wanted {
                faults.append("a list of \(line[2]) at revision \(revision) is wrong")
            }
        }
        return faults
    }
}

/// As `Tests/StoreUnderLoad` makes them.
enum Value {
    static func bytes(key: String, revision: UInt64) -> [UInt8] {
        var bytes = Array("\(key) \(revision) ".utf8)
        var dice = SeededGenerator(seed: revision)
        for _ in 0..<Int.random(in: 0..<700, using: &dice) {
            withUnsafeBytes(of: dice.next().littleEndian) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }
}
