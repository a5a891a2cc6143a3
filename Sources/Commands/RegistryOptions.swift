// Flags that several commands share: where the registries listen, and what is logged.

import ArgumentParser
import Formats
import Logging
import Objects
import Platform

/// The catalogue's interfaces.
struct RegistryOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Nacos over HTTP, and gRPC on the port + 1000 (default 127.0.0.1:8848; off).", valueName: "host:port"))
    var nacosListen: String?

    @Flag(help: "Make Nacos clients log in; the first administrator is made with POST /nacos/v1/auth/users/admin.")
    var nacosAuth = false

    @Option(help: ArgumentHelp("Eureka over HTTP (default 127.0.0.1:8761; off).", valueName: "host:port"))
    var eurekaListen: String?

    @Option(
        help: ArgumentHelp(
            "Keep silent Eureka leases while fewer than this share of the instances beat, like 0.85 (default off).",
            valueName: "share"))
    var eurekaSelfPreservation: String?

    @Option(help: ArgumentHelp("ZooKeeper (default 127.0.0.1:2181, and off with connect).", valueName: "host:port"))
    var zookeeperListen: String?

    /// Throws a Problem that names the flag.
    func apply(to configuration: inout Configuration) throws(Problem) {
        configuration.nacos = try ListenFlag.address(
            nacosListen, "nacos-listen", optional: true, default: configuration.nacos)
        configuration.nacosChecksAccess = nacosAuth || Environment.variable(of: "nacos-auth") == "true"
        if let nacos = configuration.nacos, nacos.port > 64535 {
            throw .badRequest("--nacos-listen: port \(nacos.port) leaves no room for gRPC on the port + 1000")
        }
        configuration.eureka = try ListenFlag.address(
            eurekaListen, "eureka-listen", optional: true, default: configuration.eureka)
        configuration.eurekaRenewalShare = try renewalShare()
        configuration.zookeeper = try ListenFlag.address(
            zookeeperListen, "zookeeper-listen", optional: true, default: configuration.zookeeper)
    }

    private func renewalShare() throws(Problem) -> Double? {
        let flag = "eureka-self-preservation"
        guard let text = eurekaSelfPreservation ?? Environment.variable(of: flag), text != "off" else { return nil }
        guard let share = Double(text), share > 0, share <= 1 else {
            throw .badRequest("--\(flag): \"\(text)\" is neither off nor a share like 0.85")
        }
        return share
    }
}

struct LogOptions: ParsableArguments {
    @Option(help: "The least severe log lines to print: trace, debug, info, notice, warning, error.")
    var logLevel: Logger.Level?

    func level() throws(Problem) -> Logger.Level {
        if let logLevel { return logLevel }
        guard let text = Environment.variable(of: "log-level") else { return .warning }
        guard let level = Logger.Level(rawValue: text) else {
            throw .badRequest("MANGROVE_LOG_LEVEL: \"\(text)\" is not a log level")
        }
        return level
    }
}

enum ListenFlag {
    /// The flag, its environment variable, or the default; nil for `off`.
    static func address(
        _ value: String?, _ flag: String, optional: Bool, default fallback: ListenAddress?
    ) throws(Problem) -> ListenAddress? {
        guard let text = value ?? Environment.variable(of: flag) else { return fallback }
        if text == "off" {
            guard optional else { throw .badRequest("--\(flag) cannot be off") }
            return nil
        }
        return try ListenAddress(parsing: text, flag: "--" + flag)
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}

extension Environment {
    /// `api-listen` from MANGROVE_API_LISTEN.
    static func variable(of flag: String) -> String? {
        Environment["MANGROVE_" + flag.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()]
    }
}
