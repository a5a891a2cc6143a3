// The command line: `mangrove up | connect | status | down | reset | backup | restore | version`.

import ArgumentParser
import Objects

/// The root command; `main.swift` calls `start`.
package struct MangroveCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "mangrove",
        abstract: "Runs traditional and container-born microservices as one system.",
        discussion: """
            Every flag can also come from the environment: --api-listen from MANGROVE_API_LISTEN, and so on.
            Shell completion: mangrove --generate-completion-script bash|zsh|fish
            """,
        version: Version.text,
        subcommands: [
            UpCommand.self, ConnectCommand.self, StatusCommand.self, DownCommand.self, ResetCommand.self,
            BackupCommand.self,
            RestoreCommand.self, VersionCommand.self,
        ])

    package init() {}

    /// Parses this process's arguments and runs what they say; ends the process with its exit code on failure.
    ///
    /// A function of its own because top-level code would choose ArgumentParser's entry for synchronous commands.
    package static func start() async { await main(nil) }
}

/// The product's version and the Kubernetes version whose API it serves.
package enum Version {
    package static let text = "0.1.0"
    package static let kubernetes = KubernetesVersion.short
}

/// Exit codes beyond 0 and ArgumentParser's 64 for a wrong call.
enum ExitCodes {
    static let failure: Int32 = 1
    static let notRunning: Int32 = 3
}

extension AsyncParsableCommand {
    /// Runs a command's body and turns a Problem into one line on standard error and exit code 1.
    func reportingProblems(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let problem as Problem {
            Terminal.note("mangrove: \(problem.message)")
            throw ExitCode(ExitCodes.failure)
        } catch let exit as ExitCode {
            throw exit
        } catch {
            // Whatever gets here has lost what it is about: name at least what was being done.
            Terminal.note("mangrove: \(Self.configuration.commandName ?? "the command") failed: \(error)")
            throw ExitCode(ExitCodes.failure)
        }
    }
}
