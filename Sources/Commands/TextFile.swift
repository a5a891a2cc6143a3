// Reads small text files whole, for commands.

import Glibc

enum TextFile {
    /// Manifests and kubeconfigs larger than this are refused (EFBIG).
    static let limitBytes = 64 << 20

    /// The text of a file, or of standard input for `-`. Nil with errno set when it cannot be read.
    static func read(_ path: String) -> String? {
        let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return String(decoding: text, as: UTF8.self) }
            guard count > 0 else { return nil }
            text.append(contentsOf: chunk.prefix(count))
            guard text.count <= limitBytes else {
                errno = EFBIG
                return nil
            }
        }
    }
}
