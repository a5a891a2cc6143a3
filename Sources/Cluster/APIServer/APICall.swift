// One request to a resource, taken apart, and how its answer is shown.

import Formats
import HTTPTypes
import Objects

/// A request whose resource is known.
struct APICall: Sendable {
    var request: HTTPRequest
    var query: Query
    var served: ServedResource
    /// Empty across namespaces and for what has none.
    var namespace: String
    var name: String?
    var body: [UInt8]
    /// Of a request that is handed on: what follows `proxy` in its path, as the client wrote it.
    var proxyRest: String?

    var resource: Resource { served.resource }
    var strategy: any Strategy { served.strategy }

    var accept: String? { request.headerFields.text(.accept) }
    var contentType: String? { request.headerFields.text(.contentType) }

    var methodNotAllowed: Problem {
        Problem(
            .methodNotAllowed,
            "the server does not allow this method on the requested resource (\(request.method) "
                + "\(resource.qualifiedName))"
        )
    }

    /// Whether nothing may be kept; only the value All exists.
    func isDryRun() throws(Problem) -> Bool {
        let values = query.all("dryRun").filter { !$0.isEmpty }
        if values.isEmpty { return false }
        if values.allSatisfy({ $0 == "All" }) { return true }
        throw .invalidOptions(request.method, [.notSupported("dryRun", .array(values.map { .string($0) }), ["All"])])
    }

    /// The request's object, with null members gone and fields checked as `fieldValidation` says.
    func decodedObject(kind: (apiVersion: String, kind: String)? = nil) throws(Problem) -> (
        object: Object, warnings: [String]
    ) {
        let document = try Negotiation.document(
            body, contentType: contentType, kind: kind ?? (resource.apiVersion, resource.kind))
        guard document.tree.object != nil else { throw .badRequest("the request body is not an object") }
        return try checkedObject(document, kind: kind)
    }

    /// Checks the tree that a patch made; `findings` are those about the patch itself.
    func checkedObject(
        _ tree: JSON, findings: [String] = [], kind: (apiVersion: String, kind: String)? = nil
    ) throws(Problem) -> (object: Object, warnings: [String]) {
        try checkedObject(RequestDocument(tree: tree.withSortedKeys, findings: findings), kind: kind)
    }

    /// How the client wants to see objects of this resource.
    func presentation(isStream: Bool = false) throws(Problem) -> Presentation {
        try Negotiation.presentation(
            accept: accept, query: query, isStream: isStream, hasProtobuf: served.type != nil)
    }

    /// Shows an object the way that the client asked for; `bytes` are what was stored of it just now.
    func answer(
        with object: Object, storedAs bytes: [UInt8]? = nil, code: Int = 200, warnings: [String] = [],
        api: KubernetesAPI
    ) throws(Problem) -> APIAnswer {
        let presentation = try presentation()
        if let bytes, presentation.isStored, !StoredVersions.needConversion(resource) {
            return .bytes(bytes, code: code).warning(warnings)
        }
        let tree: JSON
        switch presentation.representation {
        case .object: tree = object.tree
        case .partialMetadata: tree = PartialMetadata.tree(of: object)
        case .table(let include):
            let metadata: JSON = ["resourceVersion": .string(object.resourceVersion)]
            tree = served.printer.table(of: [object], metadata: metadata, include: include, now: api.environment.now())
        }
        return .rendered(tree, presentation, code: code, warnings: warnings)
    }
}

extension APIAnswer {
    /// A tree in the form that was negotiated, with warnings as headers.
    static func rendered(
        _ tree: JSON, _ presentation: Presentation = .init(), code: Int = 200, warnings: [String] = []
    ) -> APIAnswer {
        let bytes: [UInt8]
        do throws(FormatProblem) {
            switch presentation.format {
            case .json: bytes = presentation.isPretty ? Array((tree.pretty(indent: 2) + "\n").utf8) : tree.bytes
            case .yaml: bytes = Array(tree.yaml.utf8)
            case .protobuf: bytes = try KubernetesProtobuf.bytes(of: tree)
            }
        } catch {
            let kind = tree["kind"]?.string ?? "object"
            return .problem(Problem(.internalError, "this \(kind) cannot be shown as protobuf: \(error)"))
        }
        return APIAnswer.bytes(bytes, code: code, contentType: presentation.contentType).warning(warnings)
    }

    /// The same answer with these warnings.
    func warning(_ warnings: [String]) -> APIAnswer {
        var answer = self
        for warning in warnings { answer.add(warning: warning) }
        return answer
    }

    /// Adds a `Warning` header (RFC 7234 section 5.5, code 299), as client-go shows to people.
    mutating func add(warning: String) {
        var text = ""
        for character in warning.unicodeScalars where character.value >= 0x20 && character.value < 0x7F {
            if character == "\"" || character == "\\" { text += "\\" }
            text.unicodeScalars.append(character)
        }
        if let name = HTTPField.Name("Warning") {
            response.headerFields.append(HTTPField(name: name, value: "299 - \"\(text)\""))
        }
    }
}
