// `mangrove up`: the platform in the foreground, until Ctrl-C.

import ArgumentParser
import Client
import Formats
import Glibc
import Logging
import Objects
import Platform

/// Runs the platform, applies manifests once it is ready, and says where things are.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Run the platform in the foreground, and apply manifests once it is ready.")

    @Argument(help: "Manifest files to apply, YAML or JSON; - reads standard input.")
    var manifests: [String] = []

    @OptionGroup var state: StateOptions

    @Option(help: ArgumentHelp("Kubernetes API over TLS (default 127.0.0.1:6443).", valueName: "host:port"))
    var apiListen: String?

    @OptionGroup var registries: RegistryOptions

    @Flag(help: "Let this machine find services by name too, until the platform ends.")
    var resolve = false

    @OptionGroup var logging: LogOptions

    func run() async throws {
        try await reportingProblems {
            let configuration = try configuration()
            let objects = try manifests.flatMap { try read($0) }
            var logger = Logger(label: "mangrove", factory: { StreamLogHandler.standardError(label: $0) })
            logger.logLevel = try logging.level()
            let platform = LocalPlatform(configuration: configuration, logger: logger)
            try await platform.run { ready in
                let applier = ManifestApplier(client: ready.client)
                for object in objects {
                    let result = try await applier.apply(object)
                    Terminal.say("\(object.kind.lowercased())/\(object.name) \(result)")
                }
                Terminal.say(Self.welcome(ready))
            }
            Terminal.note("stopped")
        }
    }

    private static func welcome(_ ready: LocalPlatform.Ready) -> String {
        var rows = ready.places.map { [$0.name, $0.address] }
        rows.append(["kubeconfig", ready.configuration.kubeconfigPath])
        let table = Terminal.table(rows.map { ["  " + $0[0], $0[1]] })
        var text =
            Terminal.green("Mangrove is ready") + " after \(ready.startMilliseconds) ms (Ctrl-C stops it)\n" + table
        for warning in ready.warnings { text += "\n\(Terminal.bold("note")): \(warning)" }
        return text + "\n\n  export KUBECONFIG=\(ready.configuration.kubeconfigPath)"
    }

    private func configuration() throws(Problem) -> Configuration {
        var configuration = Configuration(directory: state.directory, nodeName: Environment.hostName.lowercased())
        if let address = try ListenFlag.address(apiListen, "api-listen", optional: false, default: configuration.api) {
            configuration.api = address
        }
        try registries.apply(to: &configuration)
        configuration.resolvesNames =
            resolve || ["1", "true", "yes"].contains(Environment.variable(of: "resolve") ?? "")
        return configuration
    }

    private func read(_ path: String) throws(Problem) -> [Object] {
        guard let text = TextFile.read(path) else {
            throw .badRequest("\(path): \(String(cString: strerror(errno)))")
        }
        do throws(FormatProblem) {
            return try ManifestApplier.objects(in: text)
        } catch {
            throw .badRequest("\(path): \(error)")
        }
    }
}
