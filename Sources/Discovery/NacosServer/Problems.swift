// What the Nacos interface refuses, with Nacos' own error codes (`com.alibaba.nacos.api.exception.NacosException`).

import Catalogue
import Configurations

/// A refusal that a Nacos client shows to its user.
enum NacosProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case missing(parameter: String)
    case invalid(String)
    case notFound(String)
    case noSuchInstance(String)
    case noSuchService(String)
    case serviceExists(String)
    case serviceNotEmpty(String)
    case noSuchNamespace(String)
    case namespaceExists(String)
    /// The text is not the one that the writer had seen.
    case changed(String)
    /// The token is missing, wrong or too old.
    case unknownUser(String)
    case forbidden(String)
    /// A part of Nacos that this server does not speak.
    case notServed(String)
    /// A path that Nacos does not have.
    case noSuchPath
    /// The first full picture is not in yet.
    case starting
    /// A request on a connection whose stream is not set up.
    case unregistered
    case unknownRequest(String)
    case tooLong(String)
    case full(String)
    case notStored(String)

    init(_ problem: CatalogueProblem) { self = .full(problem.description) }

    init(_ problem: ConfigProblem) {
        self =
            switch problem {
            case .changed: .changed(problem.description)
            case .noNamespace: .noSuchNamespace(problem.description)
            case .tooLong, .tooMany: .tooLong(problem.description)
            case .inTheWay, .notStored: .notStored(problem.description)
            case .starting: .starting
            }
    }

    var description: String {
        switch self {
        case .missing(let parameter): "Param '\(parameter)' is required."
        case .notServed(let part): "\(part) is not served by Mangrove"
        case .noSuchPath: "no such path"
        case .starting: "the server is still loading, please try again"
        case .unregistered: "Connection is unregistered."
        case .unknownRequest(let type): "No handler for request type \(type)"
        case .invalid(let message), .notFound(let message), .noSuchInstance(let message), .noSuchService(let message),
            .serviceExists(let message), .serviceNotEmpty(let message), .noSuchNamespace(let message),
            .namespaceExists(let message), .changed(let message), .unknownUser(let message), .forbidden(let message),
            .tooLong(let message), .full(let message), .notStored(let message):
            message
        }
    }

    /// `errorCode` of a gRPC answer; 300 asks to retry, 301 to connect anew.
    var errorCode: Int {
        switch self {
        case .starting: 300
        case .unregistered: 301
        case .unknownRequest: 302
        case .changed: 500
        default: httpStatus
        }
    }

    var httpStatus: Int {
        switch self {
        case .missing, .invalid, .serviceExists, .serviceNotEmpty, .namespaceExists, .tooLong: 400
        case .unknownUser, .forbidden: 403
        case .notFound, .noSuchInstance, .noSuchService, .noSuchNamespace, .noSuchPath, .unknownRequest: 404
        case .changed: 409
        case .notServed: 501
        case .starting, .unregistered, .full: 503
        case .notStored: 500
        }
    }

    /// `code` and `message` of a version 2 or 3 answer (`com.alibaba.nacos.api.model.v2.ErrorCode`).
    var detail: (code: Int, message: String) {
        switch self {
        case .missing: (10_000, "parameter missing")
        case .unknownUser, .forbidden: (10_001, "access denied")
        case .invalid: (20_002, "parameter validate error")
        case .notFound, .noSuchPath: (20_004, "resource not found")
        case .changed: (20_005, "resource conflict")
        case .noSuchInstance: (21_003, "instance not found")
        case .serviceExists: (21_007, "service already exist")
        case .noSuchService: (21_008, "service not exist")
        case .serviceNotEmpty: (21_009, "service delete failure")
        case .noSuchNamespace: (22_001, "namespace not exist")
        case .namespaceExists: (22_002, "namespace already exist")
        case .tooLong: (5_034, "config content size is over limit")
        case .notServed, .starting, .unregistered, .unknownRequest, .full, .notStored: (30_000, "server error")
        }
    }
}
