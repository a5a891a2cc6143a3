// A container's log on disk: one file that grows, and the few before it.

import Formats
import Glibc
import Objects

/// Appends to `path`; when it has grown to the limit, it is renamed to `path.<time>` and begun anew.
struct LogFile {
    /// The kubelet's `containerLogMaxSize` and `containerLogMaxFiles`.
    static let sizeLimitBytes = 10 << 20
    static let fileLimit = 5

    let path: String
    private let sizeLimit: Int
    private var descriptor: Int32
    private var size: Int

    init(path: String, sizeLimit: Int = sizeLimitBytes) throws(Problem) {
        self.path = path
        self.sizeLimit = sizeLimit
        if let slash = path.lastIndex(of: "/") { try Files.makeDirectory(String(path[..<slash])) }
        descriptor = Self.open(path)
        guard descriptor >= 0 else { throw Problem(.internalError, "\(path): \(systemMessage(errno))") }
        size = max(0, Int(lseek(descriptor, 0, SEEK_END)))
    }

    /// Lines that end; a full disk loses them, and the next ones are tried again.
    mutating func write(_ lines: [UInt8], at moment: Timestamp) {
        guard !lines.isEmpty else { return }
        if size > 0, size + lines.count > sizeLimit { rotate(at: moment) }
        if Descriptor.write(descriptor, lines) { size += lines.count }
    }

    func close() { Glibc.close(descriptor) }

    private mutating func rotate(at moment: Timestamp) {
        let digits = moment.rfc3339Nano.filter(\.isNumber)
        guard rename(path, "\(path).\(digits)") == 0 else { return }
        let fresh = Self.open(path)
        guard fresh >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = fresh
        size = 0
        guard let slash = path.lastIndex(of: "/") else { return }
        let directory = String(path[..<slash])
        let name = path[path.index(after: slash)...] + "."
        let old = Files.names(in: directory).filter { $0.hasPrefix(name) }
        for name in old.dropLast(Self.fileLimit - 1) { unlink(directory + "/" + name) }
    }

    private static func open(_ path: String) -> Int32 {
        Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    }
}
