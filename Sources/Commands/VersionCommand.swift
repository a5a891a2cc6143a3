// `mangrove version`.

import ArgumentParser
import Formats

struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    @Option(name: .shortAndLong, help: "table, json or yaml.")
    var output: OutputFormat = .table

    func run() async throws {
        output.show(["version": .string(Version.text), "kubernetes": .string(Version.kubernetes)]) {
            "mangrove \(Version.text), Kubernetes API \(Version.kubernetes)"
        }
    }
}
