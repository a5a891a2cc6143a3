// Reads one log file to its end, or on and on while its container runs.

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
        var offset: Int
    }

    private let path: String
    private let file: Int32
    private let isRunning: (@Sendable () async -> Bool)?
    private let state: Mutex<State>

    /// Follows the file while `isRunning` says so; without it the stream ends at the end of the file.
    init(path: String, _ options: LogReading, isRunning: (@Sendable () async -> Bool)?) throws(Problem) {
        file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw Problem(.notFound, "cannot open the log \(path): \(String(cString: strerror(errno)))")
        }
        self.path = path
        self.isRunning = isRunning
        var start = 0
        if let tailLines = options.tailLines { start = Self.startOfTail(tailLines, of: file) }
        state = Mutex(State(lines: LogLines(options), offset: start))
    }

    deinit { close(file) }

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
            let count = pread(file, &buffer, buffer.count, off_t(state.offset))
            guard count > 0 else { return (true, []) }
            state.offset += count
            return (false, state.lines.received(buffer[..<count]))
        }
    }

    /// Where the last lines of a file begin.
    private static func startOfTail(_ lines: Int, of file: Int32) -> Int {
        var end = Int(lseek(file, 0, SEEK_END))
        if lines <= 0 { return max(end, 0) }
        var missing = lines
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
        return 0
    }
}
