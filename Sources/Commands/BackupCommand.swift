// `mangrove backup FILE` and `mangrove restore FILE`.

import ArgumentParser
import Logging
import Platform

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Write everything that is stored, and the platform's keys, to one file; the platform may run.",
        discussion: "The file holds Secrets and private keys as they are: keep it as you would keep them.")

    @Argument(help: "The file to write; replaced if it is there.")
    var file: String

    @OptionGroup var state: StateOptions

    func run() async throws {
        try await reportingProblems {
            let logger = Logger(label: "mangrove", factory: { StreamLogHandler.standardError(label: $0) })
            let made = try await Backup.make(of: state.directory, to: file, version: Version.text, logger: logger)
            Terminal.say("\(file): \(made.describe) of \(state.directory)")
        }
    }
}

struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Bring back what a backup holds, to a directory on which nothing runs.")

    @Argument(help: "A file that `mangrove backup` wrote.")
    var file: String

    @OptionGroup var state: StateOptions

    @Flag(help: "Replace what the directory holds.")
    var force = false

    func run() async throws {
        try await reportingProblems {
            let restored = try Backup.restore(file, to: state.directory, replacing: force)
            Terminal.say("\(state.directory): \(restored.describe) from \(file)")
        }
    }
}

extension Backup.Summary {
    fileprivate var describe: String {
        "\(records) objects at revision \(revision) and \(files) keys and certificates"
    }
}
