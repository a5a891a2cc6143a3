// Notices that somebody else changed the kernel's rules: puts ours back, and says when others drop what pods send.

import CLinux
import Logging
import Objects

/// Looks at the kernel's count of rule changes, which costs nothing, and at the rules only when it has moved.
package struct RuleWatch: Sendable {
    static let period = Duration.seconds(5)

    private let network: RoutedNetwork
    private let proxy: ServiceProxy
    private let logger: Logger

    package init(network: RoutedNetwork, proxy: ServiceProxy, logger: Logger) {
        self.network = network
        self.proxy = proxy
        self.logger = logger
    }

    /// Watches until cancelled.
    package func run() async throws {
        let tools = try NetworkTools.found()
        var seen: UInt32?
        var reported: Set<String> = []
        while true {
            try await Task.sleep(for: Self.period)
            var generation: UInt32 = 0
            // A kernel that does not count is looked at every time.
            let counted = clinux_rule_generation(&generation)
            if counted == 0, generation == seen { continue }
            seen = counted == 0 ? generation : nil
            do {
                try await restore(tools)
                let chains = try await tools.nft.run(["list", "chains"])
                for drop in Self.foreignDrops(chains) where reported.insert(drop).inserted {
                    logger.error("\(Self.words(drop))")
                }
            } catch {
                logger.warning("the kernel's rules cannot be looked at", metadata: ["error": "\(error)"])
            }
        }
    }

    private func restore(_ tools: NetworkTools) async throws {
        if await !has(tools, table: RoutedNetwork.table, chain: "egress") {
            logger.warning("somebody removed the rules of the pod network; they are put back")
            try await network.start()
        }
        if proxy.hasApplied, await !has(tools, table: Ruleset.table, chain: "dispatch") {
            logger.warning("somebody removed the rules of services; they are put back")
            proxy.reapply()
        }
    }

    /// Whether a chain is there and has rules.
    private func has(_ tools: NetworkTools, table: String, chain: String) async -> Bool {
        let text = (try? await tools.nft.run(["list", "chain", "ip", table, chain])) ?? ""
        return text.split(separator: "\n").filter { $0.hasPrefix("\t\t") && !$0.contains("policy") }.count > 0
    }

    /// Chains of others that drop what is forwarded unless a rule lets it through, as `table ip filter, chain FORWARD`.
    static func foreignDrops(_ listing: String) -> [String] {
        var found: [String] = []
        var (table, chain) = ("", "")
        for line in listing.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            switch words.first {
            case "table" where words.count > 2: table = words[1...2].joined(separator: " ")
            case "chain" where words.count > 1: chain = String(words[1])
            case "type"
            where line.contains("hook forward") && line.contains("policy drop") && !table.contains("mangrove-"):
                found.append("table \(table), chain \(chain)")
            default: break
            }
        }
        return found
    }

    private static func words(_ drop: String) -> String {
        "another firewall of this machine (\(drop)) drops what is forwarded unless it knows it, so pods may reach neither "
            + "each other nor services: let it accept what comes from and goes to the devices \(RoutedNetwork.devicePrefix)*"
    }
}
