// How a command's streams share one WebSocket: every message begins with the number of its stream.

import Formats
import Objects

/// The sub-protocols `v4.channel.k8s.io` and `v5.channel.k8s.io` (upstream
/// `k8s.io/apimachinery/pkg/util/remotecommand`).
package struct CommandChannels: Sendable {
    package enum Version: String, Sendable, CaseIterable {
        /// As v4, and the client can say that a stream has ended.
        case v5 = "v5.channel.k8s.io"
        case v4 = "v4.channel.k8s.io"

        /// The best of what a client offers.
        package static func chosen(from offers: [String]) -> Version? {
            allCases.first { offers.contains($0.rawValue) }
        }
    }

    package enum Channel: UInt8, Sendable {
        case input = 0, output = 1, error = 2, status = 3, resize = 4
        /// Version 5: the number of a stream that has ended follows.
        case close = 255
    }

    package enum Input: Sendable, Hashable {
        case bytes([UInt8])
        case inputEnded
        case resized(columns: Int, rows: Int)
    }

    package let version: Version
    private var current: Channel?
    /// A resize that came in pieces.
    private var resize: [UInt8] = []
    static let resizeLimitBytes = 1024

    package init(_ version: Version) { self.version = version }

    /// Takes a frame of a message, or a later frame of the same message, so that no message is ever kept whole.
    package mutating func received(_ payload: [UInt8], isFirst: Bool, isLast: Bool) -> [Input] {
        var payload = payload[...]
        if isFirst {
            resize = []
            current = payload.popFirst().flatMap(Channel.init(rawValue:))
        }
        defer { if isLast { current = nil } }
        switch current {
        case .input: return payload.isEmpty ? [] : [.bytes(Array(payload))]
        case .close where version == .v5: return payload.first == Channel.input.rawValue ? [.inputEnded] : []
        case .resize:
            resize += payload.prefix(Self.resizeLimitBytes - resize.count)
            guard isLast, let size = try? JSON(parsing: resize), let columns = size["Width"]?.integer,
                let rows = size["Height"]?.integer, (1...65_535).contains(columns), (1...65_535).contains(rows)
            else { return [] }
            return [.resized(columns: columns, rows: rows)]
        default: return []
        }
    }

    /// A message for the client.
    package static func message(_ channel: Channel, _ bytes: [UInt8]) -> [UInt8] { [channel.rawValue] + bytes }
}

/// What the status stream says at the end of a command (upstream `remotecommand.NonZeroExitCodeReason`).
package enum CommandStatus {
    package static func ended(exitCode: Int32) -> JSON {
        guard exitCode != 0 else { return ["metadata": [:], "status": "Success"] }
        return [
            "metadata": [:], "status": "Failure", "reason": "NonZeroExitCode",
            "message": .string("command terminated with non-zero exit code: exit status \(exitCode)"),
            "details": ["causes": [["reason": "ExitCode", "message": .string(String(exitCode))]]],
        ]
    }

    package static func failed(_ problem: Problem) -> JSON {
        var status: JSON = ["metadata": [:], "status": "Failure", "reason": "InternalError", "code": 500]
        status["message"] = .string("Internal error occurred: \(problem.message)")
        return status
    }
}
