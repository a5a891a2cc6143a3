// What the Eureka interface refuses, with the status codes of Netflix' server.

import Catalogue

enum EurekaProblem: Error, Hashable, Sendable, CustomStringConvertible {
    case invalid(String)
    case notFound(String)
    case notAllowed(method: String)
    case unsupportedMedia(String)
    /// The first full picture is not in yet.
    case starting
    case full(CatalogueProblem)

    var description: String {
        switch self {
        case .invalid(let message), .notFound(let message): message
        case .notAllowed(let method): "\(method) is not served here"
        case .unsupportedMedia(let type):
            "\(type) is not read here; send application/json or application/xml, not encoded"
        case .starting: "the service catalogue is still loading, please try again"
        case .full(let problem): problem.description
        }
    }

    var status: Int {
        switch self {
        case .invalid: 400
        case .notFound: 404
        case .notAllowed: 405
        case .unsupportedMedia: 415
        case .starting, .full: 503
        }
    }
}
