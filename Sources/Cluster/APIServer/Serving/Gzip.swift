// Unsafe: zlib's stream and two buffers are lent to it for the length of one call, with their sizes.
// Large answers to clients that take gzip.

import CNIOExtrasZlib
import HTTPTypes

enum Gzip {
    /// Smaller answers are sent as they are (upstream: responsewriters, defaultGzipThresholdBytes).
    static let threshold = 128 * 1024
    /// Fast rather than small (upstream: defaultGzipContentEncodingLevel).
    static let level: Int32 = 1

    /// The answer with its body compressed, where that is worth it and the client takes it.
    static func compressed(_ answer: APIAnswer, for request: HTTPRequest) -> APIAnswer {
        guard case .bytes(let bytes) = answer.body, bytes.count >= threshold,
            answer.response.headerFields[.contentEncoding] == nil
        else { return answer }
        var answer = answer
        answer.response.headerFields.append(HTTPField(name: .vary, value: "Accept-Encoding"))
        let wanted = MediaRange.wanted(request.headerFields[.acceptEncoding])
        guard wanted.contains(where: { ["gzip", "*"].contains($0.type) }), let small = compressed(bytes) else { return answer }
        answer.response.headerFields[.contentEncoding] = "gzip"
        answer.body = .bytes(small)
        return answer
    }

    /// Bytes as one gzip member; nil when zlib has no memory.
    static func compressed(_ bytes: [UInt8]) -> [UInt8]? {
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
