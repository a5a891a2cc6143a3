// Questions and answers of the open API, whoever carries them.

import Formats
import NIOHTTP1

/// A question as it came.
struct OpenAPIRequest: Sendable {
    var method: String
    /// Without the query: `/nacos/v1/ns/instance`.
    var path: String
    var parameters: FormParameters
    /// The caller's IP address.
    var peer: String
    var userAgent = ""
    var headers = HTTPHeaders()
    /// The host of the listener that it came to.
    var listener = ""

    func header(_ name: String) -> String? {
        guard let value = headers.first(name: name), !value.isEmpty else { return nil }
        return value
    }

    /// The first of these parameters that is there and not empty; old and new versions name some differently.
    func parameter(_ names: String...) -> String? {
        for name in names {
            if let value = parameters[name], !value.isEmpty { return value }
        }
        return nil
    }

    func required(_ names: String...) throws(NacosProblem) -> String {
        for name in names {
            if let value = parameters[name], !value.isEmpty { return value }
        }
        throw .missing(parameter: names.first ?? "")
    }

    var namespace: String? { parameter("namespaceId", "tenant", "namespace") }
    var pageNumber: Int { parameters.number("pageNo") ?? 1 }
    var pageSize: Int { parameters.number("pageSize") ?? 100 }
}

struct OpenAPIResponse: Sendable, Equatable {
    var status = 200
    var contentType = Self.jsonType
    var bytes: [UInt8]
    var headers: [HeaderField] = []

    struct HeaderField: Sendable, Equatable {
        var name: String
        var value: String
    }

    static let jsonType = "application/json;charset=UTF-8"

    var text: String { String(decoding: bytes, as: UTF8.self) }

    static func text(_ text: String, status: Int = 200) -> OpenAPIResponse {
        OpenAPIResponse(status: status, contentType: "text/plain;charset=UTF-8", bytes: Array(text.utf8))
    }

    static func json(_ json: JSON, status: Int = 200) -> OpenAPIResponse {
        OpenAPIResponse(status: status, bytes: json.bytes)
    }

    static func json(bytes: [UInt8]) -> OpenAPIResponse { OpenAPIResponse(bytes: bytes) }

    /// The form of versions 2 and 3: `{"code":0,"message":"success","data":…}`.
    static func result(_ data: JSON) -> OpenAPIResponse { result(bytes: data.bytes) }

    static func result(bytes data: [UInt8]) -> OpenAPIResponse {
        var bytes = Array(#"{"code":0,"message":"success","data":"#.utf8)
        bytes.append(contentsOf: data)
        bytes.append(UInt8(ascii: "}"))
        return OpenAPIResponse(bytes: bytes)
    }

    /// The form of version 1's console calls: `{"code":200,"message":null,"data":…}`.
    static func restResult(_ data: JSON, message: String? = nil, code: Int = 200) -> OpenAPIResponse {
        .json(["code": JSON(code), "message": message.map { .string($0) } ?? .null, "data": data])
    }

    /// A refusal in the form of the version that was asked.
    static func refusal(_ problem: NacosProblem, path: String) -> OpenAPIResponse {
        if path.hasPrefix("/nacos/v2/") || path.hasPrefix("/nacos/v3/") {
            let detail = problem.detail
            return .json(
                [
                    "code": JSON(detail.code), "message": .string(detail.message),
                    "data": .string(problem.description),
                ], status: problem.httpStatus)
        }
        switch problem {
        case .noSuchPath, .unknownUser, .forbidden:
            return .json(
                [
                    "status": JSON(problem.httpStatus), "error": problem.httpStatus == 404 ? "Not Found" : "Forbidden",
                    "message": .string(problem.description), "path": .string(path),
                ], status: problem.httpStatus)
        default: return .text("caused: \(problem.description);", status: problem.httpStatus)
        }
    }
}
