// Who loads the store: writers that race for the same keys, watchers that come and go, a lister that turns pages
// slowly.

import Fuzzing
import Glibc
import Storage
import Watching

/// Lines that are in the kernel's hands when `line` returns.
struct Log: Sendable {
    private let descriptor: Int32

    init(_ path: String) { descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600) }

    func line(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        if write(descriptor, bytes, bytes.count) != bytes.count { abort() }
    }
}

/// A value that shows whether it is whole: its key and revision, then bytes that follow from them.
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

struct Writer {
    let name: Int
    let store: Store
    let log: Log
    var dice: SeededGenerator

    init(_ name: Int, seed: UInt64, store: Store, log: Log) {
        self.name = name
        self.store = store
        self.log = log
        dice = SeededGenerator(seed: seed &* 31 &+ UInt64(name))
    }

    /// Writes until it has been at it for longer than any test needs, so that a busy machine does not fill its disk.
    mutating func run() async {
        for _ in 0..<400 {
            let folder = Bool.random(using: &dice) ? "a" : "b"
            let key = "/\(folder)/\(Int.random(in: 0..<40, using: &dice))"
            let found = store.get(key)
            do {
                let record: Record
                if let found, Int.random(in: 0..<3, using: &dice) == 0 {
                    log.line("ask \(name) delete \(key) \(found.revision)")
                    record = try await store.delete(key, expecting: found.revision) {
                        Value.bytes(key: $0.key, revision: $1)
                    }
                } else if let found {
                    log.line("ask \(name) update \(key) \(found.revision)")
                    record = try await store.update(key, expecting: found.revision) {
                        Value.bytes(key: key, revision: $0)
                    }
                } else {
                    log.line("ask \(name) create \(key) 0")
                    record = try await store.create(key) { Value.bytes(key: key, revision: $0) }
                }
                log.line("ack \(name) \(record.revision)")
            } catch {
                log.line("no \(name)")
            }
        }
    }
}

struct Watcher {
    let name: Int
    let prefix: String
    let store: Store
    let hub: Hub
    let log: Log
    var dice: SeededGenerator

    init(_ name: Int, prefix: String, seed: UInt64, store: Store, hub: Hub, log: Log) {
        self.name = name
        self.prefix = prefix
        self.store = store
        self.hub = hub
        self.log = log
        dice = SeededGenerator(seed: seed &* 17 &+ UInt64(name))
    }

    /// Follows the prefix, and drops the watch now and then to take it up again where it was.
    mutating func run(from start: UInt64) async {
        var place = start
        while true {
            log.line("from \(name) \(place)")
            do {
                let cursor = try hub.watch(prefix: prefix, from: place)
                for _ in 0..<Int.random(in: 1..<40, using: &dice) {
                    guard let batch = try await cursor.next() else { return }
                    for event in batch.events {
                        log.line("see \(name) \(event.revision) \(event.kind == .put ? "put" : "delete") \(event.key)")
                    }
                    place = batch.upTo
                }
            } catch {
                log.line("lost \(name)")
                place = store.revision
            }
        }
    }
}

struct Lister {
    let store: Store
    let log: Log
    var dice: SeededGenerator

    init(seed: UInt64, store: Store, log: Log) {
        self.store = store
        self.log = log
        dice = SeededGenerator(seed: seed &* 13)
    }

    /// Reads lists in small pages at the revision of the first page, while others write.
    mutating func run() async {
        while true {
            let prefix = ["/", "/a/", "/b/"].randomElement(using: &dice) ?? "/"
            var line = ""
            var after: String?
            var revision: UInt64?
            while let page = try? store.page(prefix: prefix, after: after, limit: 7, at: revision) {
                revision = page.revision
                for record in page.records { line += " \(record.key)=\(record.revision)" }
                after = page.records.last?.key ?? after
                if page.remaining == 0 {
                    log.line("page \(page.revision) \(prefix)\(line)")
                    break
                }
                try? await Task.sleep(for: .microseconds(Int.random(in: 0..<3_000, using: &dice)))
            }
            try? await Task.sleep(for: .milliseconds(Int.random(in: 0..<10, using: &dice)))
        }
    }
}
