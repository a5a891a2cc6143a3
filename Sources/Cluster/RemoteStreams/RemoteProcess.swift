// What the streaming endpoints of pods are made of: a process seen through its streams, and a connection into a pod.

import Objects

/// What `exec` and `attach` ask for (`core/v1 PodExecOptions`).
package struct CommandRequest: Sendable, Hashable {
    package var container: String
    /// Empty for `attach`.
    package var command: [String]
    package var wantsInput: Bool
    package var wantsOutput: Bool
    package var wantsError: Bool
    package var hasTerminal: Bool

    package init(
        container: String, command: [String] = [], wantsInput: Bool = false, wantsOutput: Bool = true,
        wantsError: Bool = true, hasTerminal: Bool = false
    ) {
        self.container = container
        self.command = command
        self.wantsInput = wantsInput
        self.wantsOutput = wantsOutput
        self.wantsError = wantsError
        self.hasTerminal = hasTerminal
    }
}

/// A command in a container, or a container's own program, seen through its streams.
///
/// Each reading method is called by one task at a time. With a terminal everything comes as output.
package protocol RemoteProcess: Sendable {
    /// The next of what it wrote; nil at the end.
    func output() async throws -> [UInt8]?
    func errorOutput() async throws -> [UInt8]?
    /// Returns when the bytes are on their way; a process that does not read holds its writer up.
    func write(_ bytes: [UInt8]) async throws
    func endInput() async
    func resize(columns: Int, rows: Int) async
    /// Waits for the end; throws when it could not be executed at all.
    func exitCode() async throws(Problem) -> Int32
    /// Nobody listens any more: a command is killed, an attached program runs on.
    func close() async
}

/// A connection to a port inside a pod.
package protocol RemoteConnection: Sendable {
    /// The next bytes; nil at the end.
    func next() async throws -> [UInt8]?
    func write(_ bytes: [UInt8]) async throws
    /// Sends no more, but still reads.
    func endInput() async
    func close() async
}
