// Makes this machine ask the cluster's DNS server for names, and puts back what was there before.

import Glibc
import Objects

/// The machine's resolver configuration while the platform runs with `--resolve`.
///
/// Where systemd-resolved answers, it gets a drop-in below `/run`, which a reboot forgets, for names of the cluster
/// alone. Otherwise `/etc/resolv.conf` is rewritten: the cluster's server first, then the ones that were there, so that
/// names of the world are still found when the platform is killed. What was there, file or link, is kept in `directory`
/// before anything is changed; `restore()` puts it back, also in a later process.
package struct MachineResolver: Sendable {
    /// The files of the system, as parameters for tests.
    package struct Places: Sendable {
        package var file = "/etc/resolv.conf"
        package var resolved = "/run/systemd/resolve"
        package var dropIn = "/run/systemd/resolved.conf.d/mangrove.conf"

        package init() {}
    }

    static let resolvedStub = "nameserver 127.0.0.53"

    private let directory: String
    private let places: Places

    package init(directory: String, places: Places = Places()) {
        self.directory = directory
        self.places = places
    }

    /// Names of the domain are asked of the server from now on. Returns a sentence that says what was done.
    package func apply(server: String, domain: String) async throws(Problem) -> String {
        // What an earlier process left behind is undone first, so that nothing of ours is ever kept as the original.
        _ = try await restore()
        let current = try SmallFile(path: places.file).read().map { String(decoding: $0, as: UTF8.self) }
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else { throw failed("make", directory) }
        if access(places.resolved, F_OK) == 0, current?.contains(Self.resolvedStub) == true {
            return try await applyToResolved(server: server, domain: domain)
        }
        if let target = link() { try kept("link").replace(Array(target.utf8)) }
        try kept("original").replace(Array((current ?? "").utf8))
        if current == nil { try kept("absent").replace([]) }
        let text = Self.text(instead: current ?? "", server: server, domain: domain, keptIn: directory)
        try kept("written").replace(Array(text.utf8))
        try put(Array(text.utf8))
        return "\(places.file) names \(server) first; what it was is kept in \(directory) and comes back at the end"
    }

    /// Puts back what `apply` changed, if it did. Returns a sentence that says what was done, nil when there was
    /// nothing to do.
    package func restore() async throws(Problem) -> String? {
        guard access(directory, F_OK) == 0 else { return nil }
        var said: String?
        if try kept("resolved").read() != nil {
            try SmallFile(path: places.dropIn).remove()
            try await reloadResolved()
            said = "\(places.dropIn) is removed"
        } else if let written = try kept("written").read(), let original = try kept("original").read() {
            if try SmallFile(path: places.file).read() == written {
                try putBack(original)
                said = "\(places.file) is what it was before"
            } else {
                said = "\(places.file) was changed by somebody else meanwhile and stays as it is"
            }
        }
        for name in ["written", "original", "link", "absent", "resolved"] { try kept(name).remove() }
        guard rmdir(directory) == 0 || errno == ENOENT else { throw failed("remove", directory) }
        return said
    }

    private func kept(_ name: String) -> SmallFile { SmallFile(path: directory + "/" + name) }

    /// Where the file is a link to, nil when it is none.
    private func link() -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(places.file, &buffer, buffer.count)
        return count < 0 ? nil : String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// In one step where the file can be replaced; in a container it often is a mount, which can only be written to.
    private func put(_ bytes: [UInt8]) throws(Problem) {
        do {
            try SmallFile(path: places.file).replace(bytes)
        } catch {
            unlink(places.file + ".new")
            try SmallFile(path: places.file).rewrite(bytes)
        }
    }

    private func putBack(_ original: [UInt8]) throws(Problem) {
        if let target = try kept("link").read().map({ String(decoding: $0, as: UTF8.self) }) {
            let fresh = places.file + ".new"
            unlink(fresh)
            guard symlink(target, fresh) == 0, rename(fresh, places.file) == 0 else {
                throw failed("put back", places.file)
            }
        } else if try kept("absent").read() != nil {
            try SmallFile(path: places.file).remove()
        } else {
            try put(original)
        }
    }

    private func applyToResolved(server: String, domain: String) async throws(Problem) -> String {
        try kept("resolved").replace([])
        let folder = String(places.dropIn.prefix(upTo: places.dropIn.lastIndex(of: "/") ?? places.dropIn.endIndex))
        guard mkdir(folder, 0o755) == 0 || errno == EEXIST else { throw failed("make", folder) }
        let text = """
            # Written by mangrove, which removes it when it ends; `mangrove reset` does so too.
            [Resolve]
            DNS=\(server)
            Domains=~\(domain)

            """
        try SmallFile(path: places.dropIn).replace(Array(text.utf8))
        try await reloadResolved()
        return "systemd-resolved asks \(server) for names below \(domain), by \(places.dropIn), until the end"
    }

    private func reloadResolved() async throws(Problem) {
        guard let systemctl = Command("systemctl") else {
            throw Problem(
                .serviceUnavailable, "systemd-resolved answers for names here, but there is no systemctl to tell it")
        }
        try await systemctl.run(["restart", "systemd-resolved"])
    }

    /// The file's new text: servers and search list with ours added, everything else as it was.
    static func text(instead original: String, server: String, domain: String, keptIn directory: String) -> String {
        var servers = [server]
        var searches: [String] = []
        var others: [String] = []
        for line in original.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
            switch words.first {
            case "nameserver": servers += words.dropFirst().prefix(1).filter { !servers.contains($0) }
            // The last of these lines counts (resolv.conf(5)).
            case "search", "domain": searches = Array(words.dropFirst())
            default: others.append(String(line))
            }
        }
        searches += ["svc.\(domain)", domain].filter { !searches.contains($0) }
        var text =
            "# Written by mangrove; what was here is kept in \(directory) and comes back when it ends or is reset.\n"
        for server in servers { text += "nameserver \(server)\n" }
        text += "search \(searches.joined(separator: " "))\n"
        for line in others { text += line + "\n" }
        return text
    }

    private func failed(_ verb: String, _ path: String) -> Problem {
        Problem(.internalError, "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
