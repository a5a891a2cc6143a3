// The machine's own network tools, and the one Problem that says which of them are missing.

import Glibc
import Objects

/// What the pod network needs of the machine: root and three programs.
struct NetworkTools: Sendable {
    let ip: Command
    let nft: Command
    let nsenter: Command
    /// Not needed for anything but ending UDP flows.
    let conntrack = Command("conntrack")

    /// Throws one Problem that names everything that is missing, what to do, and what works all the same.
    static func found() throws(Problem) -> NetworkTools {
        let (ip, nft, nsenter) = (Command("ip"), Command("nft"), Command("nsenter"))
        let missing = requirement(
            isRoot: geteuid() == 0,
            programs: [
                ("ip", "iproute2", ip != nil), ("nft", "nftables", nft != nil),
                ("nsenter", "util-linux", nsenter != nil),
            ])
        if let missing { throw missing }
        guard let ip, let nft, let nsenter else { throw Problem(.internalError, "a network tool vanished") }
        return NetworkTools(ip: ip, nft: nft, nsenter: nsenter)
    }

    /// The Problem, or nil when nothing is missing.
    static func requirement(
        isRoot: Bool, programs: [(name: String, package: String, isThere: Bool)]
    ) -> Problem? {
        var missing = isRoot ? [] : ["root (start mangrove with sudo)"]
        for program in programs where !program.isThere {
            missing.append("the program \(program.name) (install the package \(program.package))")
        }
        guard !missing.isEmpty else { return nil }
        return Problem(
            .serviceUnavailable,
            "pods can have no addresses of their own and service addresses do not work: this machine lacks "
                + missing.joined(separator: " and ")
                + "; the API, the catalogue, its registries and pods with hostNetwork: true work all the same")
    }
}
