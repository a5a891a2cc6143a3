// `mangrove connect`: catalogue, registries and DNS for a cluster that somebody else runs, in the foreground, until
// Ctrl-C.

import ArgumentParser
import Client
import Formats
import Glibc
import Logging
import Objects
import Platform

struct ConnectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "Run catalogue, registries and DNS against a Kubernetes cluster, as a client of its API.",
        discussion: "Several replicas share the work; each keeps who it is in its state directory.")

    @Option(
        help: ArgumentHelp(
            "The cluster (default $KUBECONFIG, else the service account of the pod that this runs in).",
            valueName: "file"))
    var kubeconfig: String?

    @Option(help: "The kubeconfig's context, where it is not the current one.")
    var context: String?

    @OptionGroup var state: StateOptions
    @OptionGroup var registries: RegistryOptions

    @Option(help: ArgumentHelp("DNS over UDP and TCP (default off).", valueName: "host:port"))
    var dnsListen: String?

    @Option(help: ArgumentHelp("/metrics, /livez and /readyz over HTTP (default off).", valueName: "host:port"))
    var metricsListen: String?

    @Option(help: "The namespace of the replicas' Leases (default the kubeconfig's, else mangrove-system).")
    var namespace: String?

    @Option(
        help: ArgumentHelp(
            "How long what a dead replica's clients had registered stays, once its Lease is over (default 60).",
            valueName: "seconds"))
    var graceSeconds: Int?

    @Option(help: ArgumentHelp("How long a replica's Lease holds (default 15).", valueName: "seconds"))
    var leaseSeconds: Int?

    @OptionGroup var logging: LogOptions

    func run() async throws {
        try await reportingProblems {
            var configuration = Configuration(directory: state.directory, nodeName: Environment.hostName.lowercased())
            // Only where asked for: znodes that are no view of the catalogue are each replica's own.
            configuration.zookeeper = nil
            try registries.apply(to: &configuration)
            var replicas = ReplicaSettings()
            replicas.namespace = namespace ?? ""
            if let graceSeconds { replicas.graceSeconds = max(0, graceSeconds) }
            if let leaseSeconds { replicas.leaseSeconds = max(1, leaseSeconds) }
            let dns = try ListenFlag.address(dnsListen, "dns-listen", optional: true, default: nil)
            let metrics = try ListenFlag.address(metricsListen, "metrics-listen", optional: true, default: nil)
            let found = try cluster()
            var logger = Logger(label: "mangrove", factory: { StreamLogHandler.standardError(label: $0) })
            logger.logLevel = try logging.level()
            let platform = ConnectedPlatform(
                configuration: configuration, kubeconfig: found, replicas: replicas, dns: dns, metrics: metrics,
                read: Self.bytes, logger: logger)
            try await platform.run { ready in
                let rows = ready.places.map { ["  " + $0.name, $0.address] } + [["  replica", ready.replica]]
                Terminal.say(
                    Terminal.green("Mangrove is connected") + " after \(ready.startMilliseconds) ms (Ctrl-C stops it)\n"
                        + Terminal.table(rows))
            }
            Terminal.note("stopped")
        }
    }

    private func cluster() throws -> Kubeconfig {
        guard let path = kubeconfig ?? Environment["KUBECONFIG"] else {
            return try Kubeconfig.inCluster(variable: { Environment[$0] }, read: Self.bytes)
        }
        guard let text = TextFile.read(path) else {
            throw Problem(.invalid, "\(path): \(String(cString: strerror(errno)))")
        }
        // Files that it names are beside it, where they are not absolute.
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        func beside(_ file: String) -> String { file.hasPrefix("/") ? file : folder + file }
        var found = try Kubeconfig(parsing: text, context: context) { try Self.bytes(beside($0)) }
        found.tokenFile = found.tokenFile.map(beside)
        return found
    }

    @Sendable private static func bytes(_ path: String) throws -> [UInt8] {
        guard let text = TextFile.read(path) else {
            throw Problem(.invalid, "\(path): \(String(cString: strerror(errno)))")
        }
        return Array(text.utf8)
    }
}
