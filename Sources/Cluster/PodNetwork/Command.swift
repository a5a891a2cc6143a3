// Unsafe: the C strings live until posix_spawn has returned, and every buffer is passed with its own length.
// Runs one of the system's network tools with a time limit and brings back what it said.

import Dispatch
import Glibc
import Objects
import Synchronization

/// A program of the system, found once.
struct Command: Sendable {
    /// Where tools are looked for after `PATH`, which often lacks the system directories.
    static let systemDirectories = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
    /// More than this of a tool's words is thrown away, unless the caller wants more.
    static let outputLimit = 64 * 1024

    let name: String
    let path: String

    /// Nil when the machine has no such program.
    init?(_ name: String) {
        let searched = getenv("PATH").map { String(cString: $0) } ?? ""
        let directories = searched.split(separator: ":").map(String.init) + Self.systemDirectories
        let candidates: [String] = directories.map { "\($0)/\(name)" }
        guard let path = candidates.first(where: { access($0, X_OK) == 0 }) else { return nil }
        self.name = name
        self.path = path
    }

    /// Runs the program with these arguments and this text on its standard input, and returns what it wrote.
    ///
    /// Throws a Problem with the program's own words when it fails, cannot be started, or takes longer than the limit;
    /// it is killed then. The wait costs a thread of Dispatch, not one of the cooperative pool.
    @discardableResult
    func run(
        _ arguments: [String], input: String = "", limit: Duration = .seconds(10), outputLimit: Int = Self.outputLimit
    ) async throws(Problem) -> String {
        let result: Result<String, Problem> = await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let found = spawnAndWait(arguments, input: input, limit: limit, outputLimit: outputLimit)
                continuation.resume(returning: found)
            }
        }
        return try result.get()
    }

    private func spawnAndWait(
        _ arguments: [String], input: String, limit: Duration, outputLimit: Int
    ) -> Result<String, Problem> {
        let inputDescriptor: Int32
        switch Self.file(holding: input) {
        case .success(let descriptor): inputDescriptor = descriptor
        case .failure(let error): return .failure(failed("its input could not be written", error.code))
        }
        defer { close(inputDescriptor) }
        // A socket pair is the one channel that is closed on exec from its first moment on: a program that another
        // thread starts meanwhile cannot hold it open.
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            return .failure(failed("no channel for its output", errno))
        }
        let (reading, writing) = (ends[0], ends[1])
        defer { close(reading) }
        let spawned = spawn(arguments, input: inputDescriptor, output: writing)
        close(writing)
        guard case .success(let process) = spawned else { return spawned.map { _ in "" } }

        let (output, isFinished) = drain(reading, limit: limit, outputLimit: outputLimit)
        if !isFinished { kill(process, SIGKILL) }
        var status: Int32 = 0
        var waited = waitpid(process, &status, 0)
        while waited < 0, errno == EINTR { waited = waitpid(process, &status, 0) }
        let words = String(decoding: output, as: UTF8.self)
        guard isFinished else { return .failure(failed("it did not finish within \(limit)", 0, words)) }
        guard waited == process else { return .failure(failed("its exit status was lost", errno, words)) }
        guard status == 0 else {
            let signal = status & 0x7f
            return .failure(failed(signal == 0 ? "exit status \(status >> 8 & 0xff)" : "signal \(signal)", 0, words))
        }
        return .success(words)
    }

    private struct SystemError: Error {
        var code: Int32
    }

    private static let filesMade = Atomic<UInt64>(0)

    /// A nameless file with this text, open at its start. A pipe would not do: it must be written while it is read.
    private static func file(holding text: String) -> Result<Int32, SystemError> {
        if text.isEmpty {
            let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
            return descriptor < 0 ? .failure(SystemError(code: errno)) : .success(descriptor)
        }
        let number = filesMade.add(1, ordering: .relaxed).newValue
        let path = "/tmp/mangrove-input-\(getpid())-\(number)"
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return .failure(SystemError(code: errno)) }
        unlink(path)
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            guard written > 0 else {
                let error = SystemError(code: errno)
                close(descriptor)
                return .failure(error)
            }
            rest = rest.dropFirst(written)
        }
        lseek(descriptor, 0, SEEK_SET)
        return .success(descriptor)
    }

    /// The process id. The child gets default signal handling and nothing blocked, whatever this process does.
    private func spawn(_ arguments: [String], input: Int32, output: Int32) -> Result<pid_t, Problem> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGPIPE)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let variables: [String] = ["PATH=" + Self.systemDirectories.joined(separator: ":"), "LC_ALL=C"]
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
        defer { for word in words + environment { free(word) } }
        var process: pid_t = 0
        let error = posix_spawn(&process, path, &actions, &attributes, &words, &environment)
        return error == 0 ? .success(process) : .failure(failed("it could not be started", error))
    }

    /// Reads until every holder of the other end is gone. False when the time ran out before that.
    private func drain(
        _ descriptor: Int32, limit: Duration, outputLimit: Int
    ) -> (output: [UInt8], isFinished: Bool) {
        let deadline = ContinuousClock.now + limit
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let left = ContinuousClock.now.duration(to: deadline) / .milliseconds(1)
            guard left > 0 else { return (output, false) }
            var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let answered = poll(&ready, 1, Int32(min(left.rounded(.up), 60_000)))
            if answered < 0, errno != EINTR { return (output, false) }
            guard answered > 0 else { continue }
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return (output, true) }
            output += buffer[..<count].prefix(outputLimit - output.count)
        }
    }

    private func failed(_ why: String, _ error: Int32, _ words: String = "") -> Problem {
        var message = "\(name) failed: \(why)"
        if error != 0 { message += " (\(String(cString: strerror(error))))" }
        let said = words.split(separator: "\n").prefix(3).joined(separator: "; ")
        if !said.isEmpty { message += ": \(said)" }
        return Problem(.internalError, message)
    }
}
