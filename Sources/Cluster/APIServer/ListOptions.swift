// The options of list, watch and deletecollection, read from the query and checked (upstream: meta/internalversion).

import Formats
import Objects
import Storage

struct ListOptions: Sendable {
    enum Match: String, Sendable { case exact = "Exact", notOlderThan = "NotOlderThan" }

    var labels = LabelSelector()
    var fields = FieldSelector()
    /// The one object that a watch of `<plural>/<name>` sees.
    var name: String?
    var limit: Int?
    var continuation: Continuation?
    /// Nil when not given; 0 takes any state.
    var revision: UInt64?
    var match: Match?
    var isWatch = false
    var allowsBookmarks = false
    var sendsInitialEvents: Bool?
    var timeoutSeconds: Int?

    /// Reads the query; `fieldNames` are the fields that may be selected by beside name and namespace.
    init(_ query: Query, selectable fieldNames: [String]) throws(Problem) {
        do throws(FormatProblem) {
            labels = try LabelSelector(parsing: query["labelSelector"] ?? "")
            fields = try FieldSelector(parsing: query["fieldSelector"] ?? "")
        } catch {
            throw .badRequest(error.message)
        }
        for requirement in fields.requirements
        where !["metadata.name", "metadata.namespace"].contains(requirement.path)
            && !fieldNames.contains(requirement.path)
        {
            throw .badRequest("field label not supported: \(requirement.path)")
        }
        if let limit = try query.integer("limit"), limit > 0 { self.limit = limit }
        timeoutSeconds = try query.integer("timeoutSeconds")
        isWatch = query.flag("watch")
        allowsBookmarks = query.flag("allowWatchBookmarks")
        if query["sendInitialEvents"] != nil { sendsInitialEvents = query.flag("sendInitialEvents") }
        revision = try ListOptions.revision(query["resourceVersion"])
        if let text = query["resourceVersionMatch"], !text.isEmpty {
            guard let match = Match(rawValue: text) else {
                throw ListOptions.invalid([
                    .notSupported("resourceVersionMatch", .string(text), ["Exact", "NotOlderThan"])
                ])
            }
            self.match = match
        }
        if let text = query["continue"], !text.isEmpty {
            guard let continuation = Continuation(parsing: text) else {
                throw .badRequest("continue key is not valid: \(text)")
            }
            self.continuation = continuation
        }
        try checkCombination(hasRevision: query["resourceVersion"]?.isEmpty == false)
    }

    private static func revision(_ text: String?) throws(Problem) -> UInt64? {
        guard let text, !text.isEmpty else { return nil }
        guard let revision = UInt64(text) else {
            throw invalid([
                .invalid("resourceVersion", .string(text), "strconv.ParseUint: parsing \"\(text)\": invalid syntax")
            ])
        }
        return revision
    }

    private func checkCombination(hasRevision: Bool) throws(Problem) {
        var faults: [FieldFault] = []
        if isWatch {
            if match != nil, sendsInitialEvents == nil {
                faults.append(
                    .forbidden(
                        "resourceVersionMatch",
                        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
            }
            if sendsInitialEvents != nil, match != .notOlderThan {
                faults.append(
                    .forbidden(
                        "resourceVersionMatch",
                        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
            }
            if match == .exact {
                faults.append(.notSupported("resourceVersionMatch", "Exact", ["NotOlderThan"]))
            }
            if match != nil, continuation != nil {
                faults.append(
                    .forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
            }
        } else {
            if sendsInitialEvents != nil {
                faults.append(.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
            }
            if match != nil, !hasRevision {
                faults.append(
                    .forbidden(
                        "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"))
            }
            if match != nil, continuation != nil {
                faults.append(
                    .forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
            }
            if match == .exact, revision == 0 {
                faults.append(
                    .forbidden(
                        "resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
                )
            }
        }
        if !faults.isEmpty { throw ListOptions.invalid(faults) }
        if continuation != nil, let revision, revision > 0 {
            throw .badRequest("specifying resource version is not allowed when using continue")
        }
    }

    private static func invalid(_ faults: [FieldFault]) -> Problem {
        var problem = Problem.invalid(
            Resource(group: "meta.k8s.io", version: "v1", kind: "ListOptions", plural: "listoptions"), "", faults)
        problem.name = ""
        return problem
    }

    var hasSelector: Bool { !labels.isEmpty || !fields.isEmpty || name != nil }

    /// Whether a record is certainly not selected, which can mostly be told without parsing it: keys end with names,
    /// and what carries a label mentions its key.
    func rulesOut(_ record: Record) -> Bool {
        if let name, !record.isNamed(name) { return true }
        if !fields.isEmpty, let name = fields.exact("metadata.name"), !record.isNamed(name) { return true }
        return labels.requirements.contains { $0.needsLabel && !record.mentions($0.key) }
    }

    func matches(_ object: Object, by strategy: any Strategy) -> Bool {
        guard labels.isEmpty || labels.matches(object.labels) else { return false }
        if let name, name != object.name { return false }
        return fields.matches { path in
            switch path {
            case "metadata.name": object.name
            case "metadata.namespace": object.namespace
            default: strategy.fieldValue(path, of: object) ?? ""
            }
        }
    }
}

/// The token that a page of a list ends with: where the next one begins, and at which revision.
struct Continuation: Sendable, Hashable {
    /// 0 reads on in the newest state, as the fresh token of an expired list says.
    var revision: UInt64
    /// The last key of the page before, without the prefix of its resource.
    var start: String

    init(revision: UInt64, start: String) {
        self.revision = revision
        self.start = start
    }

    /// Base64url of `{"v":"meta.k8s.io/v1","rv":5,"start":"shop/web"}`.
    init?(parsing text: String) {
        var standard = text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : String($0) }.joined()
        while standard.utf8.count % 4 != 0 { standard += "=" }
        guard let bytes = Base64.decode(standard), let tree = try? JSON(parsing: bytes),
            tree["v"] == "meta.k8s.io/v1", let start = tree["start"]?.string, !start.isEmpty
        else { return nil }
        let revision = tree["rv"]?.integer ?? 0
        self.init(revision: UInt64(max(revision, 0)), start: start)
    }

    var text: String {
        let tree: JSON = ["v": "meta.k8s.io/v1", "rv": .integer(Int64(revision)), "start": .string(start)]
        return Base64.encode(tree.bytes).compactMap {
            $0 == "+" ? "-" : $0 == "/" ? "_" : $0 == "=" ? nil : String($0)
        }.joined()
    }
}

extension Record {
    /// Whether an object's name, the last part of its key, is this one.
    fileprivate func isNamed(_ name: String) -> Bool {
        let (key, name) = (key.utf8, name.utf8)
        return key.suffix(name.count).elementsEqual(name)
            && key.dropLast(name.count).last == UInt8(ascii: "/")
    }
}

extension LabelSelector.Requirement {
    /// Whether only objects with this label can match, and their bytes have its key as it is, without escapes.
    fileprivate var needsLabel: Bool {
        switch test {
        case .doesNotExist, .notIn: false
        case .exists, .isIn, .greaterThan, .lessThan:
            LabelRules.fault(ofKey: key) == nil && !key.utf8.contains { $0 == 0x22 || $0 == 0x5C }
        }
    }
}
