// The operations that change something: registrations, beats, overrides, and a peer's batch of them.

import Catalogue
import Formats
import HTTPServing

extension EurekaAPI {
    // MARK: Registrations

    func register(_ app: String, _ call: EurekaCall) throws(EurekaProblem) -> EurekaAnswer {
        try register(try tree(of: call.request), app, call.namespace)
        return .empty(204)
    }

    private func register(_ tree: JSON, _ app: String, _ namespace: String) throws(EurekaProblem) {
        let info = try InstanceInfo(tree: tree, now: registrations.now().milliseconds)
        guard info.app == app else {
            throw .invalid("Mismatched appName, expecting \(app.prefix(80)) but was \(info.app.prefix(80))")
        }
        let service = try EurekaNames.service(of: info, in: namespace)
        try registrations.register(info, RegistrationKey(namespace: namespace, app: app, id: info.id), as: service)
    }

    /// The instance in a body, in either form, with or without its envelope.
    private func tree(of request: HTTPRequest) throws(EurekaProblem) -> JSON {
        let tree = try document(of: request, "instance")
        // A list of one is what XStream's JSON makes of a list.
        return tree.array?.first ?? tree
    }

    /// The body as a tree without its outermost name.
    private func document(of request: HTTPRequest, _ name: String) throws(EurekaProblem) -> JSON {
        if let encoding = request.field("Content-Encoding"), encoding != "identity" {
            throw .unsupportedMedia("the content encoding \(encoding.prefix(40))")
        }
        let isXML = try Self.isXML(request)
        do throws(FormatProblem) {
            if isXML {
                let document = try XMLDocument(parsing: request.body)
                guard document.name == name else { throw FormatProblem("<\(name)> is expected") }
                return document.content
            }
            let tree = try JSON(parsing: request.body, limits: JSONLimits(depth: 16))
            return tree[name] ?? tree
        } catch {
            throw .invalid("the body is not understood: \(error.description)")
        }
    }

    /// By the content type; one that names none is looked at.
    private static func isXML(_ request: HTTPRequest) throws(EurekaProblem) -> Bool {
        let type = request.field("Content-Type") ?? ""
        if type.contains("json") { return false }
        if type.contains("xml") { return true }
        guard type.isEmpty || type.hasPrefix("text/plain") else { throw .unsupportedMedia(String(type.prefix(80))) }
        return request.body.first { ![0x20, 0x09, 0x0A, 0x0D, 0xEF, 0xBB, 0xBF].contains($0) } == UInt8(ascii: "<")
    }

    // MARK: Leases

    func beat(_ key: RegistrationKey, _ call: EurekaCall) throws(EurekaProblem) -> EurekaAnswer {
        try beat(
            key, lastDirty: try Self.number(call.parameter("lastDirtyTimestamp")),
            override: call.parameter("overriddenstatus"), isReplication: call.request.isReplication
        ) { call.compressed(RegistryWriter.bytes($0, call.request.form)) }
    }

    /// 200, or 404 to have the client register again. A peer that is behind is answered with what is known here.
    private func beat(
        _ key: RegistrationKey, lastDirty: Int64?, override: String?, isReplication: Bool,
        _ answer: (InstanceInfo) -> EurekaAnswer
    ) throws(EurekaProblem) -> EurekaAnswer {
        guard let outcome = try registrations.beat(key, lastDirty: lastDirty) else {
            throw .notFound(
                "\(key.app.prefix(80)) has no instance \(key.id.prefix(80)) that is registered here; register again")
        }
        guard outcome.isCurrent else {
            let status = override.map { InstanceStatus(word: $0) } ?? .unknown
            if isReplication, status != .unknown { try registrations.override(key, by: status, lastDirty: nil) }
            throw .notFound("\(key.id.prefix(80)) has changed since it registered; register again")
        }
        guard isReplication, let lastDirty, lastDirty < outcome.info.lastDirty else { return .empty(200) }
        return answer(outcome.info)
    }

    func cancel(_ key: RegistrationKey) throws(EurekaProblem) -> EurekaAnswer {
        guard try registrations.cancel(key) else {
            throw .notFound("\(key.app.prefix(80)) has no instance \(key.id.prefix(80)) that is registered here")
        }
        return .empty(200)
    }

    // MARK: Changes

    func override(_ key: RegistrationKey, _ call: EurekaCall) throws(EurekaProblem) -> EurekaAnswer {
        try override(key, call.parameter("value"), lastDirty: call.parameter("lastDirtyTimestamp"))
    }

    private func override(
        _ key: RegistrationKey, _ value: String?, lastDirty: String?
    ) throws(EurekaProblem) -> EurekaAnswer {
        guard let value, let status = InstanceStatus(rawValue: value) else {
            let words = InstanceStatus.allCases.map(\.rawValue).joined(separator: ", ")
            throw .invalid("value must be one of \(words)")
        }
        let isKnown = try registrations.override(key, by: status, lastDirty: try Self.number(lastDirty))
        guard isKnown else { throw Self.unknown(key) }
        return .empty(200)
    }

    func removeOverride(_ key: RegistrationKey, _ call: EurekaCall) throws(EurekaProblem) -> EurekaAnswer {
        try removeOverride(key, call.parameter("value"), lastDirty: call.parameter("lastDirtyTimestamp"))
    }

    private func removeOverride(
        _ key: RegistrationKey, _ value: String?, lastDirty: String?
    ) throws(EurekaProblem) -> EurekaAnswer {
        let status = value.map { InstanceStatus(word: $0) } ?? .unknown
        let isKnown = try registrations.removeOverride(key, status: status, lastDirty: try Self.number(lastDirty))
        guard isKnown else { throw Self.unknown(key) }
        return .empty(200)
    }

    func changeMetadata(_ key: RegistrationKey, _ call: EurekaCall) throws(EurekaProblem) -> EurekaAnswer {
        let size = call.parameters.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        guard size <= InstanceInfo.longestMetadata else {
            throw .invalid("metadata is longer than \(InstanceInfo.longestMetadata) bytes")
        }
        let isKnown = try registrations.changeMetadata(key) { metadata in
            for (name, value) in call.parameters where !name.isEmpty { metadata[name] = value }
        }
        guard isKnown else { throw Self.unknown(key) }
        return .empty(200)
    }

    private static func unknown(_ key: RegistrationKey) -> EurekaProblem {
        .notFound("\(key.app.prefix(80)) has no instance \(key.id.prefix(80)) that is registered here")
    }

    private static func number(_ text: String?) throws(EurekaProblem) -> Int64? {
        guard let text, !text.isEmpty else { return nil }
        guard let number = Int64(text) else { throw .invalid("lastDirtyTimestamp is no number: \(text.prefix(40))") }
        return number
    }

    // MARK: Peers

    /// Deeds in one batch (Netflix' peers send 250).
    static let batchLimit = 5_000

    /// What another Eureka server tells its peers (`PeerReplicationResource`); each deed is answered for itself.
    func replicate(_ call: EurekaCall) throws(EurekaProblem) -> EurekaAnswer {
        let tree = try document(of: call.request, "replicationList")
        let list = tree.array ?? tree["replicationList"]?.array ?? (tree.object == nil ? nil : [tree])
        guard let list, list.count <= Self.batchLimit else {
            throw .invalid("replicationList must be a list of at most \(Self.batchLimit)")
        }
        var responses: [JSON] = []
        for item in list {
            let answer: EurekaAnswer
            do throws(EurekaProblem) {
                answer = try replicate(item, call.namespace)
            } catch {
                answer = .empty(error.status)
            }
            var response: JSON = ["statusCode": JSON(answer.status)]
            if !answer.body.isEmpty, let entity = try? JSON(parsing: answer.body) {
                response["responseEntity"] = entity["instance"]
            }
            responses.append(response)
        }
        let body: JSON = ["responseList": .array(responses)]
        return EurekaAnswer(contentType: "application/json", body: body.bytes)
    }

    private func replicate(_ item: JSON, _ namespace: String) throws(EurekaProblem) -> EurekaAnswer {
        let app = (item["appName"]?.string ?? "").uppercased()
        let id = item["id"]?.string ?? ""
        let key = RegistrationKey(namespace: namespace, app: app, id: id)
        let lastDirty = item["lastDirtyTimestamp"].flatMap { $0.string ?? $0.integer.map { String($0) } }
        switch item["action"]?.string {
        case "Register":
            let tree = item["instanceInfo"] ?? .null
            try register(tree["instance"] ?? tree, app, namespace)
            return .empty(200)
        case "Heartbeat":
            return try beat(
                key, lastDirty: try Self.number(lastDirty), override: item["overriddenStatus"]?.string,
                isReplication: true
            ) { EurekaAnswer(body: RegistryWriter.bytes($0, AnswerForm(isJSON: true))) }
        case "Cancel": return try cancel(key)
        case "StatusUpdate": return try override(key, item["status"]?.string, lastDirty: lastDirty)
        case "DeleteStatusOverride": return try removeOverride(key, item["status"]?.string, lastDirty: lastDirty)
        case let action: throw .invalid("the action \(action ?? "") is not known")
        }
    }
}
