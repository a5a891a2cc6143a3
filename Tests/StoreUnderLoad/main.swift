// A program for the tests to kill: writers, watchers and listers on one store, each noting what it was promised.

import Glibc
import Logging
import Storage
import Watching

/// `store-under-load STATE LOG SEED [last revision that each watcher saw…]`; runs until it is killed.
///
/// The log is written with one write(2) a line, which outlives the process:
///
///     open REVISION OLDEST
///     ask WRITER create|update|delete KEY EXPECTED   before a write is asked for
///     ack WRITER REVISION                             after it was acknowledged
///     no WRITER                                       after it was refused
///     see WATCHER REVISION put|delete KEY             an event
///     lost WATCHER                                    the watcher's place is no longer remembered
///     from WATCHER REVISION                           it goes on from here
///     page REVISION PREFIX KEY=REVISION…              a list in pages, all at one revision
let arguments = CommandLine.arguments
guard arguments.count >= 4, let seed = UInt64(arguments[3]) else { exit(64) }
// Should whoever started it be gone.
alarm(120)

var limits = StoreLimits()
limits.historyEvents = 400
limits.batchWrites = 16
limits.logBytes = 1 << 20
limits.compactedRows = 4
let log = Log(arguments[2])
let store: Store
do {
    store = try Store.open(
        at: arguments[1], limits: limits, logger: Logger(label: "store") { _ in SwiftLogNoOpLogHandler() })
} catch {
    log.line("refused \(error.message)")
    exit(1)
}
log.line("open \(store.revision) \(store.oldestRevision)")
let hub = Hub(store: store)
let starts = arguments.dropFirst(4).compactMap { UInt64($0) }
await withTaskGroup(of: Void.self) { group in
    for name in 0..<8 {
        group.addTask {
            var writer = Writer(name, seed: seed, store: store, log: log)
            await writer.run()
        }
    }
    for (watcher, prefix) in ["/", "/", "/a/", "/b/"].enumerated() {
        let start = watcher < starts.count ? starts[watcher] : store.revision
        group.addTask {
            var watcher = Watcher(watcher, prefix: prefix, seed: seed, store: store, hub: hub, log: log)
            await watcher.run(from: start)
        }
    }
    group.addTask {
        var lister = Lister(seed: seed, store: store, log: log)
        await lister.run()
    }
}
