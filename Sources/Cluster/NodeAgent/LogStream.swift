// Reads one run's log to its end, or on and on while its container runs; the log may be put aside and begun anew
// meanwhile.

import Client
import Glibc
import Objects
import Synchronization

/// A container's log as a stream of bytes. Reading is done by one task at a time.
package final class LogStream: ByteStream {
    static let chunkBytes = 65_536
    /// How often a followed file is looked at for more.
    static let pollMilliseconds = 100

    private struct State {
        var lines: LogLines
        var file: Int32
        var offset: Int
        /// Newer files of the same run.
        var rest: [String]
    }

    /// The file that grows.
    private let path: String
    private let isRunning: (@Sendable () async -> Bool)?
    private let state: Mutex<State>

    /// Reads `older` and then the file at `path`, which it follows while `isRunning` says so; without it the stream
    /// ends at the end of the file.
    init(
        path: String, older: [String] = [], _ options: LogReading, isRunning: (@Sendable () async -> Bool)?
    ) throws(Problem) {
        self.path = path
        self.isRunning = isRunning
        var paths = older + [path]
        var start = 0
        if let tailLines = options.tailLines { start = Self.skipToTail(tailLines, &paths) }
        let file = open(paths[0], O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw Problem(.notFound, "cannot open the log \(paths[0]): \(String(cString: strerror(errno)))")
        }
        state = Mutex(State(lines: LogLines(options), file: file, offset: start, rest: Array(paths.dropFirst())))
    }

    deinit { state.withLock { _ = close($0.file) } }

    package func next() async throws -> [UInt8]? {
        var isLastLook = isRunning == nil
        while true {
            try Task.checkCancellation()
            let (isAtEnd, output) = read()
            if !output.isEmpty { return output }
            if state.withLock({ $0.lines.isFull }) { return nil }
            if !isAtEnd { continue }
            if isLastLook { return nil }
            // A container that ended may have written after the last look, so look once more.
            if await isRunning?() == true {
                try await Task.sleep(for: .milliseconds(Self.pollMilliseconds))
            } else {
                isLastLook = true
            }
        }
    }

    private func read() -> (isAtEnd: Bool, output: [UInt8]) {
        state.withLock { state in
            var buffer = [UInt8](repeating: 0, count: Self.chunkBytes)
            let count = pread(state.file, &buffer, buffer.count, off_t(state.offset))
            guard count > 0 else { return (!proceed(&state), []) }
            state.offset += count
            return (false, state.lines.received(buffer[..<count]))
        }
    }

    /// Goes on to the next file, or to the one that was begun since this one was put aside; false when there is none.
    private func proceed(_ state: inout State) -> Bool {
        let next: String
        if state.rest.isEmpty {
            guard isRunning != nil, Self.identity(of: state.file) != Self.identity(of: path) else { return false }
            next = path
        } else {
            next = state.rest.removeFirst()
        }
        let file = open(next, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        close(state.file)
        state.file = file
        state.offset = 0
        return true
    }

    private static func identity(of file: Int32) -> ino_t? {
        var facts = stat()
        return fstat(file, &facts) == 0 ? facts.st_ino : nil
    }

    private static func identity(of path: String) -> ino_t? {
        var facts = stat()
        return stat(path, &facts) == 0 ? facts.st_ino : nil
    }

    /// Drops the files before the one that the wanted last lines begin in; says where in it they begin.
    private static func skipToTail(_ lines: Int, _ paths: inout [String]) -> Int {
        var missing = max(0, lines)
        for position in paths.indices.reversed() {
            let file = open(paths[position], O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            defer { close(file) }
            if let start = startOfTail(&missing, of: file, isLast: lines <= 0) {
                paths.removeFirst(position)
                return start
            }
        }
        return 0
    }

    /// Where the last lines of a file begin; nil when it has fewer, and then `missing` of them stand before it.
    private static func startOfTail(_ missing: inout Int, of file: Int32, isLast: Bool) -> Int? {
        var end = max(0, Int(lseek(file, 0, SEEK_END)))
        if isLast { return end }
        while end > 0 {
            let start = max(0, end - chunkBytes)
            var buffer = [UInt8](repeating: 0, count: end - start)
            let count = pread(file, &buffer, buffer.count, off_t(start))
            guard count > 0 else { return 0 }
            // The file's very last line end closes the last line; it separates nothing.
            if let found = LogLines.startOfTail(in: Array(buffer[..<count]), missing: &missing) {
                return start + found
            }
            end = start
        }
        return nil
    }
}
