// A PATCH body of one of the three kinds that say what to change; the fourth, an apply, says what is wanted.

import Formats
import Objects

struct Patch: Sendable {
    private enum Kind { case json(JSONPatch), merge(JSON), strategicMerge(JSON) }

    private let kind: Kind
    /// What strict validation says of the patch itself.
    let findings: [String]

    /// Reads the body by its content type. Throws 415 for other types.
    init(_ call: APICall) throws(Problem) {
        let type = MediaRange.list(call.contentType).first?.type ?? ""
        let isCustom = call.served.custom != nil
        guard type.hasSuffix("-patch+json") else { throw Patch.unsupported(isCustom: isCustom) }
        if call.query["force"] != nil {
            throw .invalidOptions(.patch, [.forbidden("force", "may not be specified for non-apply patch")])
        }
        let document: JSONDocument
        do throws(FormatProblem) {
            document = try JSONDocument(parsing: call.body)
        } catch {
            throw .badRequest("error decoding patch: \(error)")
        }
        if let count = document.value.array?.count, count > JSONPatch.operationLimit {
            throw Problem(
                .requestEntityTooLarge,
                "Request entity too large: The allowed maximum operations in a JSON patch is "
                    + "\(JSONPatch.operationLimit), got \(count)")
        }
        switch type {
        case "application/json-patch+json":
            do throws(PatchProblem) {
                kind = .json(try JSONPatch(document.value))
            } catch {
                throw .badRequest("error decoding patch: \(error.message)")
            }
        case "application/merge-patch+json": kind = .merge(document.value)
        case "application/strategic-merge-patch+json":
            // Nobody says how the lists of custom resources merge.
            if isCustom { throw Patch.unsupported(isCustom: true) }
            kind = .strategicMerge(document.value)
        default: throw Patch.unsupported(isCustom: isCustom)
        }
        if case .json = kind {
            findings = Patch.operationFindings(document)
            return
        }
        findings = document.duplicates.map { "duplicate field \"\($0)\"" }
        if document.value.object == nil { throw .badRequest("error decoding patch: a merge patch is an object") }
    }

    /// Members of operations that no operation has, and such as are there twice.
    private static func operationFindings(_ document: JSONDocument) -> [String] {
        var findings: [String] = []
        for (index, operation) in (document.value.array ?? []).enumerated() {
            for key in operation.object?.keys ?? [] where !["op", "path", "from", "value"].contains(key) {
                findings.append("json patch unknown field \"[\(index)].\(key)\"")
            }
        }
        // Below `value` the operations' decoder does not look.
        let own = document.duplicates.filter { path in
            path.hasSuffix("].op") || path.hasSuffix("].path") || path.hasSuffix("].from") || path.hasSuffix("].value")
        }.filter { $0.split(separator: ".").count == 2 }
        return findings + own.map { "json patch duplicate field \"\($0)\"" }
    }

    private static func unsupported(isCustom: Bool) -> Problem {
        Problem(
            .unsupportedMediaType,
            "the body of the request was in an unknown format - accepted media types include: "
                + "application/json-patch+json, application/merge-patch+json, "
                + (isCustom ? "" : "application/strategic-merge-patch+json, ") + ApplyRequest.contentType)
    }

    /// The patched tree. A patch that does not fit is 422.
    func apply(to object: Object, _ call: APICall) throws(Problem) -> JSON {
        try apply(to: object.tree, of: call.served.type)
    }

    func apply(to tree: JSON, of type: SchemaType?) throws(Problem) -> JSON {
        do throws(PatchProblem) {
            switch kind {
            case .json(let patch): return try patch.apply(to: tree)
            case .merge(let patch): return MergePatch.apply(patch, to: tree)
            case .strategicMerge(let patch): return try StrategicMerge.apply(patch: patch, to: tree, type: type)
            }
        } catch {
            switch error {
            case .malformed(let message): throw .badRequest(message)
            case .inapplicable(let message):
                // Without a kind and a name, so that kubectl prints the message.
                throw Problem(.invalid, "the server rejected our request due to an error in our request: \(message)")
            }
        }
    }
}
