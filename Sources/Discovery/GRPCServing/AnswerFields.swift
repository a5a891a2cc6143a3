// The header fields of answers (`Response-Headers` and `Trailers` of the protocol's text).

import NIOHPACK

enum AnswerFields {
    static let head: HPACKHeaders = [":status": "200", "content-type": "application/grpc"]
    static let done: HPACKHeaders = ["grpc-status": "0"]

    /// The end of an answer that has begun.
    static func trailers(_ status: GRPCStatus) -> HPACKHeaders {
        if status == .ok { return done }
        var fields = HPACKHeaders()
        add(status, to: &fields)
        return fields
    }

    /// An answer that is nothing but its end.
    static func alone(_ status: GRPCStatus) -> HPACKHeaders {
        var fields = head
        add(status, to: &fields)
        return fields
    }

    static func refusal(_ refusal: CallHead.Refusal) -> HPACKHeaders {
        switch refusal {
        case .http(let status): return [":status": String(status)]
        case .call(let status): return alone(status)
        case .encoding(let name):
            var fields = alone(GRPCStatus(.unimplemented, "grpc-encoding \(name.prefix(40)) is not served"))
            fields.add(name: "grpc-accept-encoding", value: "identity")
            return fields
        }
    }

    private static func add(_ status: GRPCStatus, to fields: inout HPACKHeaders) {
        fields.add(name: "grpc-status", value: String(status.code.rawValue))
        if !status.message.isEmpty { fields.add(name: "grpc-message", value: status.encodedMessage) }
    }
}
