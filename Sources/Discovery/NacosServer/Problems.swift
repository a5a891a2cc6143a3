// What the Nacos interface refuses, with Nacos' own error codes (`com.alibaba.nacos.api.exception.NacosException`).

import Catalogue

/// A refusal that a Nacos client shows to its user.
enum NacosProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case missing(parameter: String)
    case invalid(String)
    case notFound(String)
    /// A part of Nacos that this server does not speak.
    case notServed(String)
    /// The first full picture is not in yet.
    case starting
    /// A request on a connection whose stream is not set up.
    case unregistered
    case unknownRequest(String)
    case full(CatalogueProblem)

    var description: String {
        switch self {
        case .missing(let parameter): "Param '\(parameter)' is required."
        case .invalid(let message), .notFound(let message): message
        case .notServed(let part): "\(part) is not served by Mangrove yet"
        case .starting: "the service catalogue is still loading, please try again"
        case .unregistered: "Connection is unregistered."
        case .unknownRequest(let type): "No handler for request type \(type)"
        case .full(let problem): problem.description
        }
    }

    /// `errorCode` of a gRPC answer; 300 asks to retry, 301 to connect anew.
    var errorCode: Int {
        switch self {
        case .missing, .invalid: 400
        case .notFound: 404
        case .notServed: 501
        case .starting: 300
        case .unregistered: 301
        case .unknownRequest: 302
        case .full: 503
        }
    }

    var httpStatus: Int {
        switch self {
        case .starting, .unregistered: 503
        case .unknownRequest: 404
        default: errorCode
        }
    }
}
