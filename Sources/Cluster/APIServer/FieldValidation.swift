// Whether an object fits its type, and what is done with fields that do not: the parameter `fieldValidation`.

import Formats
import HTTPTypes
import Objects

/// What a client wants done with unknown and duplicate fields (upstream: meta/v1, FieldValidation).
enum FieldValidation: String, Sendable {
    /// They are dropped.
    case ignore = "Ignore"
    /// They are dropped, and named in `Warning` headers.
    case warn = "Warn"
    /// The request is refused.
    case strict = "Strict"

    /// Reads the parameter of a write; `Warn` where there is none.
    init(_ call: APICall) throws(Problem) {
        let text = call.query["fieldValidation"] ?? ""
        guard let directive = text.isEmpty ? .warn : FieldValidation(rawValue: text) else {
            throw .invalidOptions(
                call.request.method,
                [.notSupported("fieldValidation", .string(text), ["", "Ignore", "Strict", "Warn"])])
        }
        self = directive
    }
}

extension Problem {
    /// 422 about the parameters of a write, which upstream reads as an object of their own.
    static func invalidOptions(_ method: HTTPRequest.Method, _ faults: [FieldFault]) -> Problem {
        let kind =
            switch method {
            case .put: "UpdateOptions"
            case .patch: "PatchOptions"
            case .delete: "DeleteOptions"
            default: "CreateOptions"
            }
        return .invalid(Resource(group: "meta.k8s.io", version: "v1", kind: kind, plural: ""), "", faults)
    }
}

extension APICall {
    /// Checks a document against its kind: wrong kinds of values are refused, unknown and duplicate fields go the way
    /// that `fieldValidation` says. Null members are gone from the object, as in Go.
    ///
    /// Kinds that the schema's table does not have are not checked here: their definitions are.
    func checkedObject(
        _ document: RequestDocument, kind expected: (apiVersion: String, kind: String)?
    ) throws(Problem) -> (object: Object, warnings: [String]) {
        let directive = try FieldValidation(self)
        let kind = expected ?? (resource.apiVersion, resource.kind)
        if expected == nil, let custom = served.custom {
            let found = custom.decoded(try withKind(document.tree, kind), duplicates: document.duplicates)
            if let mismatch = found.mismatch { throw undecodable(mismatch, document, kind) }
            return (found.object, try settle(document.findings + found.faults, document, directive, kind))
        }
        let tree = try withKind(document.tree.withoutNulls, kind)
        guard let type = Schema.type(apiVersion: kind.apiVersion, kind: kind.kind) else {
            let faults = document.findings + document.duplicates.sorted().map { "duplicate field \"\($0)\"" }
            return (Object(tree), try settle(faults, document, directive, kind))
        }
        let found = Schema.findings(in: tree, of: type, duplicates: document.duplicates)
        if let mismatch = found.mismatches.first { throw undecodable(mismatch.description, document, kind) }
        let object = found.unknown.isEmpty ? Object(tree) : Object(Schema.pruned(tree, of: type))
        return (object, try settle(document.findings + found.faults, document, directive, kind))
    }

    /// Fills in what a body left out of its kind. A body of another kind is refused.
    private func withKind(_ tree: JSON, _ expected: (apiVersion: String, kind: String)) throws(Problem) -> JSON {
        var tree = tree
        if (tree["apiVersion"]?.string ?? "").isEmpty { tree["apiVersion"] = .string(expected.apiVersion) }
        if (tree["kind"]?.string ?? "").isEmpty { tree["kind"] = .string(expected.kind) }
        let (apiVersion, kind) = (tree["apiVersion"]?.string ?? "", tree["kind"]?.string ?? "")
        if (apiVersion, kind) == expected { return tree }
        let parts = apiVersion.split(separator: "/")
        let prefix = "\(kind) in version \"\(parts.last ?? "")\" cannot be handled as a \(expected.kind): "
        if kind == expected.kind {
            throw .badRequest(
                "the API version in the data (\(apiVersion)) does not match the expected API version "
                    + "(\(expected.apiVersion))")
        }
        guard Schema.type(apiVersion: apiVersion, kind: kind) != nil else {
            throw .badRequest(prefix + "no kind \"\(kind)\" is registered for version \"\(apiVersion)\"")
        }
        let package = expected.apiVersion.split(separator: "/").dropLast().first?.split(separator: ".").first ?? "core"
        throw .badRequest(
            prefix + "converting (\(parts.last ?? "").\(kind)) to (\(package).\(expected.kind)): unknown conversion")
    }

    /// The warnings that are left of faults.
    private func settle(
        _ faults: [String], _ document: RequestDocument, _ directive: FieldValidation,
        _ kind: (apiVersion: String, kind: String)
    ) throws(Problem) -> [String] {
        switch directive {
        case .ignore: return []
        case .warn: return faults
        case .strict:
            if faults.isEmpty { return [] }
            var faults = faults
            if document.isYAML, !document.findings.isEmpty {
                faults.removeFirst(document.findings.count)
                faults.insert("yaml: unmarshal errors:\n  " + document.findings.joined(separator: "\n  "), at: 0)
            }
            throw undecodable("strict decoding error: " + faults.joined(separator: ", "), document, kind)
        }
    }

    /// 400 for a body; 422 for a patch, which is upstream's answer to what does not fit after it.
    private func undecodable(
        _ why: String, _ document: RequestDocument, _ kind: (apiVersion: String, kind: String)
    ) -> Problem {
        guard request.method == .patch else {
            let version = kind.apiVersion.split(separator: "/").last ?? ""
            return .badRequest("\(kind.kind) in version \"\(version)\" cannot be handled as a \(kind.kind): \(why)")
        }
        let nothing = Resource(group: "", version: "", kind: "", plural: "")
        let isStrategic = contentType?.hasPrefix("application/strategic-merge-patch") == true
        let patch = isStrategic ? (try? JSON(parsing: body))?.goText : nil
        return .invalid(nothing, "", [.invalid("patch", .string(patch ?? document.tree.text), why)])
    }
}

extension JSON {
    /// A value as Go's `%+v` prints it: `map[spec:map[replicas:2]]`, keys sorted.
    fileprivate var goText: String {
        switch self {
        case .null: "<nil>"
        case .string(let text): text
        case .array(let values): "[" + values.map(\.goText).joined(separator: " ") + "]"
        case .object(let object):
            "map["
                + object.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value.goText)" }.joined(separator: " ")
                + "]"
        default: text
        }
    }
}
