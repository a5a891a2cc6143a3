// An error that somebody can act on: the Kubernetes Status, which every failed API call answers with.

import Formats

/// A failure with a reason that programs test and a message that people read (`metav1.Status`).
package struct Problem: Error, Sendable, Hashable, CustomStringConvertible {
    /// The machine-readable kinds of failure, spelled as in `metav1.StatusReason`.
    package enum Reason: String, Sendable {
        case unauthorized = "Unauthorized"
        case forbidden = "Forbidden"
        case notFound = "NotFound"
        case alreadyExists = "AlreadyExists"
        case conflict = "Conflict"
        case gone = "Gone"
        case expired = "Expired"
        case invalid = "Invalid"
        case serverTimeout = "ServerTimeout"
        case storageReadOnly = "StorageReadOnly"
        case timeout = "Timeout"
        case tooManyRequests = "TooManyRequests"
        case badRequest = "BadRequest"
        case methodNotAllowed = "MethodNotAllowed"
        case notAcceptable = "NotAcceptable"
        case requestEntityTooLarge = "RequestEntityTooLarge"
        case unsupportedMediaType = "UnsupportedMediaType"
        case internalError = "InternalError"
        case serviceUnavailable = "ServiceUnavailable"
        case notImplemented = "NotImplemented"
        case unknown = ""

        /// The HTTP status that goes with the reason.
        package var code: Int {
            switch self {
            case .unauthorized: 401
            case .forbidden: 403
            case .notFound: 404
            case .alreadyExists, .conflict: 409
            case .gone, .expired: 410
            case .invalid: 422
            case .serverTimeout: 500
            case .storageReadOnly: 503
            case .timeout: 504
            case .tooManyRequests: 429
            case .badRequest: 400
            case .methodNotAllowed: 405
            case .notAcceptable: 406
            case .requestEntityTooLarge: 413
            case .unsupportedMediaType: 415
            case .internalError, .unknown: 500
            case .serviceUnavailable: 503
            case .notImplemented: 501
            }
        }
    }

    /// One cause of an `Invalid` or `Conflict` answer.
    package struct Cause: Sendable, Hashable {
        /// `FieldValueRequired`, `FieldValueInvalid`, `FieldValueNotSupported`, `FieldValueForbidden`, …
        package var reason: String
        package var message: String
        /// The path of the field, like `spec.containers[0].name`.
        package var field: String

        package init(reason: String, message: String, field: String) {
            self.reason = reason
            self.message = message
            self.field = field
        }
    }

    package var reason: Reason
    package var message: String
    package var code: Int
    package var group = ""
    /// The kind or the resource's plural that `details.kind` carries.
    package var kind = ""
    package var name = ""
    package var causes: [Cause] = []
    package var retryAfterSeconds: Int?

    package init(_ reason: Reason, _ message: String, code: Int? = nil) {
        self.reason = reason
        self.message = message
        self.code = code ?? reason.code
    }

    package var description: String { message }

    /// Whether the namespace that something was to be written in does not exist.
    package var isOfNamespace: Bool { code == 404 && kind == Resource.namespaces.plural }

    /// The reason of the cause that says why nothing new comes into a namespace (`corev1.NamespaceTerminatingCause`).
    package static let namespaceTerminating = "NamespaceTerminating"

    /// Whether something was to be made in a namespace that is being deleted.
    package var isOfEndingNamespace: Bool { causes.contains { $0.reason == Self.namespaceTerminating } }

    /// `pods "web" not found`.
    package static func notFound(_ resource: Resource, _ name: String) -> Problem {
        about(resource, name, .notFound, "\(resource.qualifiedName) \"\(name)\" not found")
    }

    package static func alreadyExists(_ resource: Resource, _ name: String) -> Problem {
        about(resource, name, .alreadyExists, "\(resource.qualifiedName) \"\(name)\" already exists")
    }

    package static func conflict(_ resource: Resource, _ name: String, _ why: String) -> Problem {
        about(
            resource, name, .conflict,
            "Operation cannot be fulfilled on \(resource.qualifiedName) \"\(name)\": \(why)")
    }

    package static func badRequest(_ message: String) -> Problem { Problem(.badRequest, message) }

    private static func about(_ resource: Resource, _ name: String, _ reason: Reason, _ message: String) -> Problem {
        var problem = Problem(reason, message)
        problem.group = resource.group
        problem.kind = resource.plural
        problem.name = name
        return problem
    }

    /// The Status object that the answer's body is.
    package var status: JSON {
        var details: JSON = [:]
        if !name.isEmpty { details["name"] = .string(name) }
        if !group.isEmpty { details["group"] = .string(group) }
        if !kind.isEmpty { details["kind"] = .string(kind) }
        if !causes.isEmpty {
            details["causes"] = .array(
                causes.map { cause in
                    var tree: JSON = ["reason": .string(cause.reason), "message": .string(cause.message)]
                    if !cause.field.isEmpty { tree["field"] = .string(cause.field) }
                    return tree
                })
        }
        if let retryAfterSeconds { details["retryAfterSeconds"] = JSON(retryAfterSeconds) }
        var status: JSON = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure", "message": .string(message),
        ]
        if reason != .unknown { status["reason"] = .string(reason.rawValue) }
        if details.object?.isEmpty == false { status["details"] = details }
        status["code"] = JSON(code)
        return status
    }

    /// Reads a Status that a server answered with; anything else becomes a problem with that HTTP status.
    package init(status tree: JSON, code httpCode: Int) {
        let reason = tree["reason"]?.string.flatMap(Reason.init(rawValue:)) ?? .unknown
        self.init(
            reason, tree["message"]?.string ?? "the server answered with status \(httpCode)",
            code: tree["code"]?.integer ?? httpCode)
        group = tree["details", "group"]?.string ?? ""
        kind = tree["details", "kind"]?.string ?? ""
        name = tree["details", "name"]?.string ?? ""
        retryAfterSeconds = tree["details", "retryAfterSeconds"]?.integer
        causes = (tree["details", "causes"]?.array ?? []).map {
            Cause(
                reason: $0["reason"]?.string ?? "", message: $0["message"]?.string ?? "",
                field: $0["field"]?.string ?? "")
        }
    }
}
