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

    @Option(help: ArgumentHelp(
        "Nacos over HTTP, and gRPC on the port + 1000 (default 127.0.0.1:8848; off).", valueName: "host:port"))
    var nacosListen: String?

    @Flag(help: "Make Nacos clients log in; the first administrator is made with POST /nacos/v1/auth/users/admin.")
    var nacosAuth = false

    @Option(help: ArgumentHelp("Eureka over HTTP (default 127.0.0.1:8761; off).", valueName: "host:port"))
    var eurekaListen: String?

    @Option(help: ArgumentHelp(
        "Keep silent Eureka leases while fewer than this share of the instances beat, like 0.85 (default off).",
        valueName: "share"))
    var eurekaSelfPreservation: String?

    @Option(help: ArgumentHelp("ZooKeeper: not served by this version, so only off is accepted.", valueName: "host:port"))
    var zookeeperListen: String?

    @Flag(help: "Let this machine find services by name too, until the platform ends.")
    var resolve = false

    @Option(help: "The least severe log lines to print: trace, debug, info, notice, warning, error.")
    var logLevel: Logger.Level?

    func run() async throws {
        try await reportingProblems {
            let configuration = try configuration()
            let objects = try manifests.flatMap { try read($0) }
            var logger = Logger(label: "mangrove", factory: { StreamLogHandler.standardError(label: $0) })
            logger.logLevel = try level()
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
        var text = Terminal.green("Mangrove is ready") + " after \(ready.startMilliseconds) ms (Ctrl-C stops it)\n" + table
        for warning in ready.warnings { text += "\n\(Terminal.bold("note")): \(warning)" }
        return text + "\n\n  export KUBECONFIG=\(ready.configuration.kubeconfigPath)"
    }

    private func configuration() throws(Problem) -> Configuration {
        var configuration = Configuration(directory: state.directory, nodeName: Environment.hostName.lowercased())
        if let address = try address(apiListen, "api-listen", optional: false, default: configuration.api) {
            configuration.api = address
        }
        configuration.nacos = try address(nacosListen, "nacos-listen", optional: true, default: configuration.nacos)
        configuration.nacosChecksAccess = nacosAuth || Environment.variable(of: "nacos-auth") == "true"
        if let nacos = configuration.nacos, nacos.port > 64535 {
            throw .badRequest("--nacos-listen: port \(nacos.port) leaves no room for gRPC on the port + 1000")
        }
        configuration.eureka = try address(eurekaListen, "eureka-listen", optional: true, default: configuration.eureka)
        configuration.eurekaRenewalShare = try renewalShare()
        for (value, flag) in [(zookeeperListen, "zookeeper-listen")] {
            guard try address(value, flag, optional: true, default: nil) == nil else {
                throw .badRequest("--\(flag): this version does not serve that interface yet; leave it off")
            }
        }
        configuration.resolvesNames = resolve || ["1", "true", "yes"].contains(Environment.variable(of: "resolve") ?? "")
        return configuration
    }

    /// The flag, its environment variable, or the default; nil for `off`.
    private func address(
        _ value: String?, _ flag: String, optional: Bool, default fallback: ListenAddress?
    ) throws(Problem) -> ListenAddress? {
        guard let text = value ?? Environment.variable(of: flag) else { return fallback }
        if text == "off" {
            guard optional else { throw .badRequest("--\(flag) cannot be off") }
            return nil
        }
        return try ListenAddress(parsing: text, flag: "--" + flag)
    }

    private func renewalShare() throws(Problem) -> Double? {
        let flag = "eureka-self-preservation"
        guard let text = eurekaSelfPreservation ?? Environment.variable(of: flag), text != "off" else { return nil }
        guard let share = Double(text), share > 0, share <= 1 else {
            throw .badRequest("--\(flag): \"\(text)\" is neither off nor a share like 0.85")
        }
        return share
    }

    private func level() throws(Problem) -> Logger.Level {
        if let logLevel { return logLevel }
        guard let text = Environment.variable(of: "log-level") else { return .warning }
        guard let level = Logger.Level(rawValue: text) else {
            throw .badRequest("MANGROVE_LOG_LEVEL: \"\(text)\" is not a log level")
        }
        return level
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

extension Logger.Level: @retroactive ExpressibleByArgument {}

extension Environment {
    /// `api-listen` from MANGROVE_API_LISTEN.
    static func variable(of flag: String) -> String? {
        Environment["MANGROVE_" + flag.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()]
    }
}
