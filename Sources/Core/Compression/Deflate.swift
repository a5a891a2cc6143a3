// Unsafe: zlib's stream and two buffers are lent to it for the length of one call, with their sizes.
// Compresses bytes for those who take gzip.

import CNIOExtrasZlib

package enum Deflate {
    /// Fast rather than small (upstream Kubernetes: defaultGzipContentEncodingLevel).
    static let level: Int32 = 1

    /// Bytes as one gzip member (RFC 1952); nil when zlib has no memory, or for more than 4 GiB.
    package static func gzip(_ bytes: [UInt8]) -> [UInt8]? {
        guard UInt32(exactly: bytes.count) != nil else { return nil }
        var stream = cnioextras_z_stream()
        // 15 is the whole window, 16 more asks for gzip's frame around it.
        let begun = CNIOExtrasZlib_deflateInit2(
            &stream, level, CNIOEXTRAS_Z_DEFLATED, 15 + 16, 8, CNIOEXTRAS_Z_DEFAULT_STRATEGY)
        guard begun == CNIOEXTRAS_Z_OK else { return nil }
        defer { cnioextras_z_deflateEnd(&stream) }
        let bound = Int(cnioextras_z_deflateBound(&stream, UInt(bytes.count)))
        var input = bytes
        var isWhole = false
        let output = [UInt8](unsafeUninitializedCapacity: bound) { buffer, count in
            input.withUnsafeMutableBufferPointer { source in
                stream.next_in = source.baseAddress
                stream.avail_in = UInt32(source.count)
                stream.next_out = buffer.baseAddress
                stream.avail_out = UInt32(buffer.count)
                isWhole = cnioextras_z_deflate(&stream, CNIOEXTRAS_Z_FINISH) == CNIOEXTRAS_Z_STREAM_END
                count = isWhole ? bound - Int(stream.avail_out) : 0
            }
        }
        return isWhole ? output : nil
    }
}
