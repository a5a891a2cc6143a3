// `mangrove reset`: forgets everything and leaves nothing behind on the machine.

import ArgumentParser
import Glibc
import Logging
import Objects
import Platform

struct ResetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset",
        abstract: "Remove every pod, address and rule of a state directory, and everything stored in it.")

    @OptionGroup var state: StateOptions

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    func run() async throws {
        try await reportingProblems {
            let directory = state.directory
            if let holder = StateLock.holder(of: directory) {
                throw Problem(
                    .conflict, "mangrove runs on \(directory) with process id \(holder.pid); run `mangrove down` first")
            }
            guard access(directory, F_OK) == 0 else {
                Terminal.note("there is nothing at \(directory)")
                return
            }
            guard yes || confirmed("Delete everything in \(directory)?") else { throw ExitCode(ExitCodes.failure) }
            let logger = Logger(label: "mangrove", factory: { StreamLogHandler.standardError(label: $0) })
            try await StateDirectory.reset(directory, logger: logger)
            Terminal.note("removed \(directory)")
        }
    }

    private func confirmed(_ question: String) -> Bool {
        guard isatty(STDIN_FILENO) == 1 else {
            Terminal.note("mangrove: \(question) Say --yes where nobody can answer.")
            return false
        }
        Terminal.note("\(question) [y/N]")
        return readLine().map { ["y", "yes"].contains($0.lowercased()) } ?? false
    }
}
