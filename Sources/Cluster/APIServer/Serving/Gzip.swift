// Large answers to clients that take gzip.

import Compression
import HTTPTypes

enum Gzip {
    /// Smaller answers are sent as they are (upstream: responsewriters, defaultGzipThresholdBytes).
    static let threshold = 128 * 1024

    /// The answer with its body compressed, where that is worth it and the client takes it.
    static func compressed(_ answer: APIAnswer, for request: HTTPRequest) async -> APIAnswer {
        guard case .bytes(let bytes) = answer.body, bytes.count >= threshold,
            answer.response.headerFields[.contentEncoding] == nil
        else { return answer }
        var answer = answer
        answer.response.headerFields.append(HTTPField(name: .vary, value: "Accept-Encoding"))
        let wanted = MediaRange.wanted(request.headerFields.text(.acceptEncoding))
        guard wanted.contains(where: { ["gzip", "*"].contains($0.type) }),
            let small = await LoopExecutor.away({ Deflate.gzip(bytes) })
        else { return answer }
        answer.response.headerFields[.contentEncoding] = "gzip"
        answer.body = .bytes(small)
        return answer
    }
}
