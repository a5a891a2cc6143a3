// The header fields that begin a call (`Request-Headers` of the protocol's text).

import NIOCore
import NIOHPACK

/// What a call asks for.
struct CallHead: Hashable {
    /// `/Service/method`.
    var path: String
    /// How long the client waits.
    var timeout: TimeAmount?

    enum Refusal: Error, Hashable {
        /// It is no gRPC, so it is answered as HTTP answers.
        case http(status: Int)
        case call(GRPCStatus)
        /// The client's messages are compressed in a way that is not understood here.
        case encoding(String)
    }

    /// Leaves `te` alone, as a server need not know what lies in between.
    init(_ fields: HPACKHeaders) throws(Refusal) {
        var method = "", path = "", contentType = "", encoding = "", timeout = ""
        for (name, value, _) in fields {
            switch name {
            case ":method": method = value
            case ":path": path = value
            case "content-type": contentType = value
            case "grpc-encoding": encoding = value
            case "grpc-timeout": timeout = value
            default: break
            }
        }
        guard Self.isGRPC(contentType) else { throw .http(status: 415) }
        guard method == "POST" else { throw .http(status: 405) }
        guard encoding.isEmpty || encoding == "identity" else { throw .encoding(encoding) }
        self.path = path
        guard !timeout.isEmpty else { return }
        guard let found = Self.timeout(timeout) else {
            throw .call(GRPCStatus(.invalidArgument, "grpc-timeout \(timeout.prefix(20)) is not understood"))
        }
        self.timeout = found
    }

    /// `application/grpc`, with any message format (`+proto`) or parameter behind it.
    private static func isGRPC(_ contentType: String) -> Bool {
        let kind = "application/grpc"
        guard contentType.utf8.count > kind.utf8.count else { return contentType == kind }
        return contentType.hasPrefix(kind + "+") || contentType.hasPrefix(kind + ";")
    }

    /// One to eight digits and a unit: `5S`, `250m`.
    private static func timeout(_ text: String) -> TimeAmount? {
        let digits = text.utf8.dropLast()
        guard (1...8).contains(digits.count),
            digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let count = Int64(text.dropLast())
        else { return nil }
        // 100,000 hours, which is for ever, stand for more.
        switch text.utf8.last {
        case UInt8(ascii: "H"): return .hours(min(count, 100_000))
        case UInt8(ascii: "M"): return .minutes(min(count, 6_000_000))
        case UInt8(ascii: "S"): return .seconds(count)
        case UInt8(ascii: "m"): return .milliseconds(count)
        case UInt8(ascii: "u"): return .microseconds(count)
        case UInt8(ascii: "n"): return .nanoseconds(count)
        default: return nil
        }
    }
}
