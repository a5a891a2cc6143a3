// An answer as HTTP/1.1 writes it (RFC 9112).

import NIOCore
import NIOHTTP1

/// What a request's form asks of its answer's.
struct AnswerForm: Sendable {
    /// The client wants the head alone.
    var isHead = false
    var keepsAlive = true
    /// HTTP/1.0 closes unless told otherwise.
    var isOld = false
}

extension ByteBuffer {
    static let `continue` = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")

    mutating func write(_ answer: HTTPAnswer, _ form: AnswerForm, date: String) {
        let hasBody = answer.status >= 200 && answer.status != 204 && answer.status != 304
        reserveCapacity(minimumWritableBytes: 256 + (form.isHead || !hasBody ? 0 : answer.body.count))
        writeStaticString("HTTP/1.1 ")
        writeString(String(answer.status))
        writeStaticString(" ")
        writeString(HTTPResponseStatus(statusCode: answer.status).reasonPhrase)
        writeStaticString("\r\nDate: ")
        writeString(date)
        writeStaticString("\r\n")
        for (name, value) in answer.fields { write(field: name, value) }
        if hasBody {
            writeStaticString("Content-Length: ")
            writeString(String(answer.body.count))
            writeStaticString("\r\n")
        }
        if !form.keepsAlive {
            writeStaticString("Connection: close\r\n")
        } else if form.isOld {
            writeStaticString("Connection: keep-alive\r\n")
        }
        writeStaticString("\r\n")
        if hasBody, !form.isHead { writeBytes(answer.body) }
    }

    /// A value may come from a user; what could end its line becomes a space.
    private mutating func write(field name: String, _ value: String) {
        writeString(name)
        writeStaticString(": ")
        if value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            writeBytes(value.utf8.map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: " ") : $0 })
        } else {
            writeString(value)
        }
        writeStaticString("\r\n")
    }
}
