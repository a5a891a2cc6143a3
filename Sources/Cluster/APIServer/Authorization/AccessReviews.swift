// Questions about access: may I, may he, what may I, who am I, whose token is this. Answered at once, never stored.

import Access
import Formats
import HTTPTypes
import Objects

extension ServedResource {
    /// Whether the resource is a question of `authentication.k8s.io` or `authorization.k8s.io`.
    var isReview: Bool { ["authentication.k8s.io", "authorization.k8s.io"].contains(resource.group) }
}

extension KubernetesAPI {
    /// Answers a question (upstream: pkg/registry/authorization and authentication).
    func review(_ call: APICall) async throws -> APIAnswer {
        guard call.request.method == .post, call.name == nil else { throw call.methodNotAllowed }
        _ = try call.isDryRun()
        let decoded = try call.decodedObject()
        var review = decoded.object
        let caller = Caller.current ?? .anonymous
        switch call.resource.plural {
        case "selfsubjectaccessreviews":
            try check(review, call, asksForOther: false)
            review.status = status(of: review, identity: caller)
        case "subjectaccessreviews", "localsubjectaccessreviews":
            try check(review, call, asksForOther: true)
            review.status = status(of: review, identity: Identity(reviewed: review.spec))
        case "selfsubjectrulesreviews":
            guard let namespace = review["spec", "namespace"]?.string, !namespace.isEmpty else {
                throw Problem.badRequest("no namespace on request")
            }
            review.status = rules(of: caller, in: namespace)
        case "selfsubjectreviews":
            review.tree["metadata", "creationTimestamp"] = .string(environment.now().rfc3339)
            review.status = ["userInfo": caller.userInfo]
        case "tokenreviews": review.status = try tokenStatus(review)
        default: throw call.methodNotAllowed
        }
        return try call.answer(with: review, code: 201, warnings: decoded.warnings, api: self)
    }

    /// Upstream: pkg/apis/authorization/validation.
    private func check(_ review: Object, _ call: APICall, asksForOther: Bool) throws(Problem) {
        var faults: [FieldFault] = []
        let target = review["spec", "resourceAttributes"]
        let path = review["spec", "nonResourceAttributes"]
        if target != nil, path != nil {
            faults.append(
                .invalid(
                    "spec.nonResourceAttributes", path, "cannot be specified in combination with resourceAttributes"))
        }
        if target == nil, path == nil {
            faults.append(
                .invalid(
                    "spec.resourceAttributes", .null,
                    "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
        }
        if asksForOther, (review["spec", "user"]?.string ?? "").isEmpty, (review["spec", "groups"]?.array ?? []).isEmpty
        {
            faults.append(.invalid("spec.user", "", "at least one of user or group must be specified"))
        }
        if call.resource.isNamespaced {
            if path != nil {
                faults.append(
                    .invalid("spec.nonResourceAttributes", path, "disallowed on this kind of request"))
            }
            let namespace = target?["namespace"]?.string ?? ""
            if namespace != call.namespace {
                faults.append(
                    .invalid(
                        "spec.resourceAttributes.namespace", .string(namespace), "must match metadata.namespace"))
            }
        }
        if !faults.isEmpty { throw .invalid(call.resource, "", faults) }
    }

    private func status(of review: Object, identity: Identity) -> JSON {
        let decision = access.authorizer.decide(identity, AccessRequest(reviewed: review.spec))
        var status: JSON = ["allowed": .bool(decision.isAllowed)]
        if !decision.reason.isEmpty { status["reason"] = .string(decision.reason) }
        return status
    }

    private func rules(of caller: Identity, in namespace: String) -> JSON {
        let (rules, missing) = access.authorizer.rules(for: caller, in: namespace)
        var status: JSON = [
            "resourceRules": .array(rules.filter { !$0.resources.isEmpty }.map(\.tree)),
            "nonResourceRules": .array(rules.filter { !$0.nonResourceURLs.isEmpty }.map(\.tree)),
            "incomplete": .bool(!missing.isEmpty),
        ]
        if !missing.isEmpty { status["evaluationError"] = .string(missing.joined(separator: ", ")) }
        return status
    }

    private func tokenStatus(_ review: Object) throws(Problem) -> JSON {
        guard let token = review["spec", "token"]?.string, !token.isEmpty else {
            throw .badRequest("token is required for TokenReview in authentication")
        }
        guard let authenticator = access.authenticator else { return ["authenticated": false] }
        let audiences = review["spec", "audiences"]?.strings ?? []
        do throws(Problem) {
            let found = try authenticator.identity(
                token: token, for: audiences.isEmpty ? nil : audiences, now: environment.now().secondsSinceEpoch,
                lookup: lookup)
            return [
                "authenticated": true, "user": found.identity.userInfo,
                "audiences": .array(found.audiences.map { .string($0) }),
            ]
        } catch {
            return ["user": [:], "error": .string("[\(error.message)]")]
        }
    }
}

extension Identity {
    /// The user that a SubjectAccessReview asks about.
    init(reviewed spec: JSON) {
        var extra: [String: [String]] = [:]
        for member in spec["extra"]?.object ?? JSONObject() {
            extra[member.key.lowercased()] = member.value.strings ?? []
        }
        self.init(
            name: spec["user"]?.string ?? "", groups: spec["groups"]?.strings ?? [], uid: spec["uid"]?.string ?? "",
            extra: extra)
    }
}

extension AccessRequest {
    /// The request that a review asks about.
    init(reviewed spec: JSON) {
        if let path = spec["nonResourceAttributes"] {
            self.init(verb: path["verb"]?.string ?? "", path: path["path"]?.string ?? "")
            return
        }
        let wanted = spec["resourceAttributes"]
        func text(_ field: String) -> String { wanted?[field]?.string ?? "" }
        self.init(
            verb: text("verb"),
            target: .init(
                group: text("group"), plural: text("resource"), subresource: text("subresource"),
                namespace: text("namespace"), name: text("name")))
    }
}
