// Whole lists as they were last written, for the readers who come before the next change.

import Compression
import Synchronization

/// Bytes by the version they were made of, so that what is given out is never older than the registry.
final class AnswerCache: Sendable {
    struct Key: Hashable, Sendable {
        var namespace: String
        var isDelta: Bool
        var form: AnswerForm
    }

    struct Body: Sendable {
        var bytes: [UInt8]
        var isGzip: Bool
    }

    private struct Slot: Hashable {
        var key: Key
        var isGzip: Bool
    }

    private struct Kept {
        var version: UInt64
        var body: Body
    }

    private struct State {
        var kept: [Slot: Kept] = [:]
        var size = 0
    }

    /// Bytes kept in all; a list that is larger by itself is written anew for each reader.
    static let largestBytes = 64 << 20

    private let state = Mutex(State())

    /// The answer of this very version, if it is kept.
    func body(_ key: Key, version: UInt64, gzip: Bool) -> Body? {
        state.withLock { state in
            guard let kept = state.kept[Slot(key: key, isGzip: gzip)], kept.version == version else { return nil }
            return kept.body
        }
    }

    /// Compresses the answer for those who take it, and keeps it.
    func keep(_ bytes: [UInt8], _ key: Key, version: UInt64, gzip: Bool) -> Body {
        var body = Body(bytes: bytes, isGzip: false)
        if gzip, bytes.count >= EurekaAPI.gzipThreshold, let small = Deflate.gzip(bytes) {
            body = Body(bytes: small, isGzip: true)
        }
        let slot = Slot(key: key, isGzip: gzip)
        state.withLock { state in
            if let old = state.kept[slot] {
                // Somebody slower made an older one.
                if old.version > version { return }
                state.size -= old.body.bytes.count
                state.kept[slot] = nil
            }
            if state.size + body.bytes.count > Self.largestBytes {
                state = State()
                if body.bytes.count > Self.largestBytes { return }
            }
            state.size += body.bytes.count
            state.kept[slot] = Kept(version: version, body: body)
        }
        return body
    }
}
