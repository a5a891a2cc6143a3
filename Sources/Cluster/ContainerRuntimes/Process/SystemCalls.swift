// Unsafe: buffers are lent to one system call each, which keeps no pointer to them.
// Descriptors and files as this room needs them, with errors as problems.

import CLinux
import Glibc
import Objects

/// What `errno` means.
func systemMessage(_ number: Int32) -> String {
    String(cString: strerror(number))
}

/// Throws what a call that returns -errno failed with.
@discardableResult
func checked(_ result: Int32, _ what: String) throws(Problem) -> Int32 {
    guard result < 0 else { return result }
    throw Problem(.internalError, "\(what): \(systemMessage(-result))")
}

enum Descriptor {
    enum Reading: Equatable {
        case bytes([UInt8])
        case nothingYet
        case end
    }

    static let chunk = 65_536

    /// Reads once.
    static func read(_ descriptor: Int32) -> Reading {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: chunk) { buffer, count in
            var got: Int
            repeat { got = Glibc.read(descriptor, buffer.baseAddress, chunk) } while got < 0 && errno == EINTR
            if got < 0 { failure = errno }
            count = max(got, 0)
        }
        if failure == EAGAIN { return .nothingYet }
        return bytes.isEmpty ? .end : .bytes(bytes)
    }

    /// Reads once from a socket; descriptors that came along are added.
    static func receive(_ socket: Int32, _ descriptors: inout [Int32]) -> Reading {
        var failure = 0
        var room = [Int32](repeating: -1, count: 4)
        var came: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: chunk) { buffer, count in
            let got = clinux_receive(socket, buffer.baseAddress, UInt(chunk), &room, Int32(room.count), &came)
            if got < 0 { failure = -got }
            count = max(got, 0)
        }
        descriptors += room.prefix(Int(came))
        if failure == Int(EAGAIN) { return .nothingYet }
        return bytes.isEmpty ? .end : .bytes(bytes)
    }

    /// Writes what a non-blocking descriptor takes now; how many bytes that were, or nil when its other end is gone.
    static func writeSome(_ descriptor: Int32, _ bytes: [UInt8]) -> Int? {
        guard !bytes.isEmpty else { return 0 }
        let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if written < 0 { return errno == EAGAIN || errno == EINTR ? 0 : nil }
        return written
    }

    /// Writes everything; false when the descriptor takes no more.
    @discardableResult
    static func write(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
        var done = 0
        return bytes.withUnsafeBytes { buffer in
            while done < buffer.count {
                guard let base = buffer.baseAddress else { return true }
                let written = Glibc.write(descriptor, base + done, buffer.count - done)
                if written < 0 && errno == EINTR { continue }
                if written <= 0 { return false }
                done += written
            }
            return true
        }
    }

    /// Sends what a socket takes now; how many bytes that were, or nil when its other end is gone.
    static func send(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Int? {
        let sent = bytes.withUnsafeBytes { clinux_send(descriptor, $0.baseAddress, UInt($0.count)) }
        if sent == -Int(EAGAIN) || sent == -Int(EINTR) { return 0 }
        return sent < 0 ? nil : sent
    }

    /// Sends everything with these descriptors; -errno when the other end is gone.
    static func send(_ socket: Int32, _ bytes: [UInt8], along descriptors: [Int32]) -> Int32 {
        bytes.withUnsafeBytes {
            clinux_send_descriptors(socket, $0.baseAddress, UInt($0.count), descriptors, Int32(descriptors.count))
        }
    }

    /// Waits until one of the descriptors has something, or one that is in `writing` too takes more, or the time is
    /// over; nil waits for ever.
    static func poll(_ reading: [Int32], writing: Set<Int32>, timeoutMilliseconds: Int32?) -> [Int32] {
        var entries = reading.map {
            pollfd(fd: $0, events: Int16(POLLIN) | (writing.contains($0) ? Int16(POLLOUT) : 0), revents: 0)
        }
        let count = Glibc.poll(&entries, nfds_t(entries.count), timeoutMilliseconds ?? -1)
        return count > 0 ? entries.filter { $0.revents != 0 }.map(\.fd) : []
    }
}

enum Files {
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var all: [UInt8] = []
        while case .bytes(let bytes) = Descriptor.read(descriptor) { all += bytes }
        return all
    }

    /// Writes a whole file in one step, so that a reader finds the old one or the new one.
    static func write(_ path: String, _ bytes: [UInt8], mode: mode_t = 0o600) throws(Problem) {
        let fresh = path + ".new"
        let descriptor = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw Problem(.internalError, "\(path): \(systemMessage(errno))") }
        let isWritten = Descriptor.write(descriptor, bytes)
        close(descriptor)
        guard isWritten, rename(fresh, path) == 0 else {
            throw Problem(.internalError, "\(path): \(systemMessage(errno))")
        }
    }

    static func makeDirectory(_ path: String, mode: mode_t = 0o755) throws(Problem) {
        var partial = ""
        for part in path.split(separator: "/") {
            partial += "/" + part
            guard mkdir(partial, mode) == 0 || errno == EEXIST else {
                throw Problem(.internalError, "\(partial): \(systemMessage(errno))")
            }
        }
    }

    /// The names in a directory, in order; none when it does not exist.
    static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { buffer in
                String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func isDirectory(_ path: String) -> Bool {
        var facts = stat()
        return lstat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
    }

    static func resolved(link path: String) -> String? {
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
            count = buffer.withMemoryRebound(to: CChar.self) { room in
                guard let base = room.baseAddress else { return 0 }
                return max(0, readlink(path, base, room.count))
            }
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

enum SystemTime {
    /// Nanoseconds on one of the system's clocks.
    static func nanoseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    static var wall: Int64 { nanoseconds(CLOCK_REALTIME) }
}
