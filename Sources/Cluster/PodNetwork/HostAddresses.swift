// Service addresses that the machine itself answers at: kubernetes and DNS, put on the loopback device.

import Objects

/// Adds addresses to `lo` so that the API server and the DNS server can listen there, and takes them away again.
///
/// Pods reach them through their default route without any translation.
package struct HostAddresses: Sendable {
    package let addresses: [IPv4Address]
    private let tools: NetworkTools

    /// Throws when an address cannot be read, or when root or `ip` is missing.
    package init(_ addresses: [String]) throws(Problem) {
        var parsed: [IPv4Address] = []
        for text in addresses {
            guard let address = IPv4Address(text) else { throw Problem(.invalid, "\"\(text)\" is no IPv4 address") }
            parsed.append(address)
        }
        self.addresses = parsed
        tools = try NetworkTools.found()
    }

    /// Makes the addresses local; those that are there already stay.
    package func add() async throws(Problem) {
        let lines = addresses.map { "address replace \($0)/32 dev lo" }
        try await tools.ip.run(["-batch", "-"], input: lines.joined(separator: "\n") + "\n")
    }

    /// Takes the addresses away; one that is not there is no error.
    package func remove() async throws(Problem) {
        for address in addresses where try await isThere(address) {
            try await tools.ip.run(["address", "delete", "\(address)/32", "dev", "lo"])
        }
    }

    private func isThere(_ address: IPv4Address) async throws(Problem) -> Bool {
        try await !tools.ip.run(["-oneline", "address", "show", "dev", "lo", "to", "\(address)/32"]).isEmpty
    }
}
