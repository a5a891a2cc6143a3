// What a container says of its own end: the file that it wrote, or the end of its log.

import ContainerRuntimes
import Synchronization

/// Reads each ended run's message once (`terminationMessagePath`, `terminationMessagePolicy`).
final class TerminationMessages: Sendable {
    /// Upstream's `MaxPodTerminationMessageLogLength` and friends.
    static let fileLimitBytes = 4096
    static let logLimitBytes = 2048
    static let logLimitLines = 80
    /// Runs whose message is remembered; older ones are read again.
    static let cacheLimit = 4096

    /// The annotation by which a container's config carries its policy through the runtime.
    static let policyAnnotation = "io.kubernetes.container.terminationMessagePolicy"
    static let fallback = "FallbackToLogsOnError"

    private let podsDirectory: String
    private let known = Mutex<[String: String]>([:])

    init(podsDirectory: String) { self.podsDirectory = podsDirectory }

    /// Where a run's message is on the host.
    static func path(root: String, container: String, attempt: Int) -> String {
        "\(root)/containers/\(container)/\(attempt)"
    }

    /// The message of a run that has ended; empty when it said nothing.
    func message(of status: ContainerStatus) -> String {
        if let message = known.withLock({ $0[status.id] }) { return message }
        let root = "\(podsDirectory)/\(status.sandboxID)"
        var message = text(Self.path(root: root, container: status.name, attempt: status.attempt), Self.fileLimitBytes)
        if message.isEmpty, status.exitCode != 0, status.annotations[Self.policyAnnotation] == Self.fallback {
            message = Self.end(ofLog: Files.tail(status.logPath, bytes: 4 * Self.logLimitBytes))
        }
        let found = message
        known.withLock { known in
            if known.count >= Self.cacheLimit { known = [:] }
            known[status.id] = found
        }
        return found
    }

    private func text(_ path: String, _ limit: Int) -> String {
        guard let bytes = Files.read(path) else { return "" }
        return String(decoding: bytes.prefix(limit), as: UTF8.self)
    }

    /// The last lines that the program wrote, of the end of a log in CRI format.
    static func end(ofLog bytes: [UInt8]) -> String {
        var lines = LogLines(LogReading())
        let output = lines.received(bytes)
        let last = output.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).suffix(
            logLimitLines + 1)
        let text = last.joined(separator: [UInt8(ascii: "\n")])
        return String(decoding: text.suffix(logLimitBytes), as: UTF8.self)
    }
}
