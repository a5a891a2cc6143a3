// Kills a process in mid-load, again and again, and holds what is left to every promise that it made.

import Fuzzing
import Glibc
import Logging
import Objects
import Testing

@testable import Storage

/// `Tests/StoreUnderLoad` writes, watches and lists without pause; SIGKILL comes at a random moment, be it while it
/// opens the store that the last kill left. To see one seed again: `swift test --filter KillTests`.
@Suite struct KillTests {
    /// Five stores, each killed twelve times.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func everyPromiseOutlivesAKill(seed: UInt64) async throws {
        let scratch = Scratch()
        var random = SeededGenerator(seed: seed)
        var ledger = Ledger()
        for round in 0..<12 {
            let log = "\(scratch.path)/log"
            unlink(log)
            let process = try Loader.start(scratch.store, log: log, seed: seed * 100 + UInt64(round), ledger.places)
            // One of four dies while it opens the store; the others after a number of lines.
            if Int.random(in: 0..<4, using: &random) == 0 {
                try await Task.sleep(for: .milliseconds(Int.random(in: 0..<40, using: &random)))
            } else {
                let bytes = Int.random(in: 1..<60_000, using: &random)
                while Loader.size(of: log) < bytes, Loader.isRunning(process) {
                    try await Task.sleep(for: .milliseconds(1))
                }
            }
            #expect(Loader.kill(process), "the program ended by itself in round \(round)")
            let store = try scratch.open()
            for fault in ledger.faults(in: scratch.read(log) ?? [], store) {
                Issue.record("seed \(seed), round \(round): \(fault)")
            }
            store.close()
        }
        #expect(ledger.revision > 200, "it was hardly under load: revision \(ledger.revision)")
    }
}

/// The program, from the folder that the tests themselves run from.
enum Loader {
    struct Missing: Error { let path: String }

    static func start(_ store: String, log: String, seed: UInt64, _ places: [UInt64]) throws -> pid_t {
        var path = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &path, path.count - 1)
        let own = String(decoding: path.prefix(max(length, 0)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        let candidates = [own.split(separator: "/").dropLast().map { "/" + $0 }.joined(), ".build/debug"]
        guard let program = candidates.map({ $0 + "/store-under-load" }).first(where: { access($0, X_OK) == 0 }) else {
            throw Missing(path: candidates.joined(separator: ", "))
        }
        let words = [program, store, log, String(seed)] + places.map { String($0) }
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, program, nil, nil, &arguments, environ)
        guard code == 0 else { throw Missing(path: "\(program): \(code)") }
        return process
    }

    static func isRunning(_ process: pid_t) -> Bool {
        var information = siginfo_t()
        return waitid(P_PID, id_t(process), &information, WEXITED | WNOHANG | WNOWAIT) == 0 && information.si_signo == 0
    }

    /// Ends the process; whether it was still running.
    static func kill(_ process: pid_t) -> Bool {
        Glibc.kill(process, SIGKILL)
        var status: Int32 = 0
        waitpid(process, &status, 0)
        return status & 0x7F == SIGKILL
    }

    static func size(of path: String) -> Int {
        var information = stat()
        return stat(path, &information) == 0 ? Int(information.st_size) : 0
    }
}
