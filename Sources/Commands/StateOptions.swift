// The state directory, which every command names in the same way.

import ArgumentParser
import Glibc

/// `--state DIR`, from the environment, or the default for this user.
struct StateOptions: ParsableArguments {
    @Option(
        name: .customLong("state"),
        help: ArgumentHelp(
            "Everything that is kept (MANGROVE_STATE; default /var/lib/mangrove for root, else $XDG_DATA_HOME/mangrove).",
            valueName: "dir"))
    var state: String?

    /// The directory as an absolute path.
    var directory: String {
        let chosen = state ?? Environment["MANGROVE_STATE"] ?? Self.defaultDirectory
        if chosen.hasPrefix("/") { return chosen }
        return (Environment.workingDirectory) + "/" + chosen
    }

    private static var defaultDirectory: String {
        if geteuid() == 0 { return "/var/lib/mangrove" }
        let data = Environment["XDG_DATA_HOME"] ?? (Environment["HOME"] ?? "/tmp") + "/.local/share"
        return data + "/mangrove"
    }
}

/// What the process was started with.
enum Environment {
    /// A variable that is set and not empty.
    static subscript(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    static var workingDirectory: String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }

    static var hostName: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
