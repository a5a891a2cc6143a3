// Directories, bytes and reproducible randomness for the tests of the store.

import Glibc
import Logging

@testable import Storage

/// A directory of its own for one test, gone when the test is.
final class Scratch: Sendable {
    static let files = ["lock", "format", "store.db", "store.db-wal", "store.db-shm", "store.db-journal", "format.new"]

    let path: String
    var store: String { path + "/store" }
    var copy: String { path + "/copy" }

    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() {
        var template = Array("/tmp/mangrove-store-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/mangrove-store-none"
    }

    func open(_ limits: StoreLimits = .init()) throws -> Store {
        try Store.open(at: store, limits: limits, logger: Self.logger)
    }

    func openCopy() throws -> Store { try Store.open(at: copy, logger: Self.logger) }

    /// Copies the files of the open store, as a killed process would leave them; `change` may damage the log on the
    /// way.
    func copyFiles(log change: (inout [UInt8]) -> Void = { _ in }) {
        mkdir(copy, 0o700)
        for file in Self.files { unlink(copy + "/" + file) }
        for file in ["format", "store.db", "store.db-wal"] {
            guard var bytes = read(store + "/" + file) else { continue }
            if file == "store.db-wal" { change(&bytes) }
            write(bytes, to: copy + "/" + file)
        }
    }

    func read(_ file: String) -> [UInt8]? {
        let descriptor = Glibc.open(file, O_RDONLY)
        guard descriptor >= 0 else { return nil }
        defer { Glibc.close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
        }
    }

    func write(_ bytes: [UInt8], to file: String) {
        let descriptor = Glibc.open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { Glibc.close(descriptor) }
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }

    deinit {
        unlink(path + "/log")
        for directory in [store, copy] {
            for file in Self.files { unlink(directory + "/" + file) }
            rmdir(directory)
        }
        rmdir(path)
    }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
