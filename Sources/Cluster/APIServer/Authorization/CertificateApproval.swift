// Verdicts on certificate signing requests, and who may give and use them
// (upstream: registry/certificates, plugin/pkg/admission/certificates).

import Access
import Formats
import HTTPTypes
import Objects

extension KubernetesAPI {
    private static let certificateGroup = "certificates.k8s.io"
    private static let unreachedByVerdicts = FieldSet([
        ElementPath("metadata"), ElementPath("spec"), ElementPath("status", "certificate"),
    ])

    /// `certificatesigningrequests/<name>/approval`: changes the conditions and nothing else.
    func approve(_ call: APICall) async throws -> APIAnswer {
        try await part(.approval, call, unreached: { _ in Self.unreachedByVerdicts }) { old, wanted, tracking in
            var new = old
            new["status", "conditions"] = dated(wanted.status["conditions"], from: old)
            let faults = CertificateRequestStrategy.conditionFaults(new, from: old, isVerdict: true)
            if !faults.isEmpty { throw Problem.invalid(call.resource, old.name, faults) }
            try checkSigner(of: old, verb: "approve", "approve", call.resource)
            tracking.account(for: &new, from: old, sent: nil)
            return settle(old, new, of: call.served)
        }
    }

    /// No certificate makes a master of anybody (upstream: plugin/pkg/admission/certificates/subjectrestriction).
    func restrictSubject(of request: Object, _ resource: Resource) throws(Problem) {
        guard resource.group == Self.certificateGroup, resource.plural == "certificatesigningrequests",
            request["spec", "signerName"]?.string == CertificateSigner.client.rawValue,
            let bytes = request["spec", "request"]?.string.flatMap(Base64.decode),
            let wanted = try? RequestedCertificate(pem: String(decoding: bytes, as: UTF8.self)),
            wanted.organizations.contains(Identity.mastersGroup)
        else { return }
        throw .forbidden(
            resource, request.name,
            "use of \(CertificateSigner.client.rawValue) signer with \(Identity.mastersGroup) group is not allowed")
    }

    /// What the status subresource may do to a signing request: certify or fail it, once, by who may sign; the verdicts
    /// stay. Other kinds are not looked at.
    func authorizeStatus(_ new: inout Object, from old: Object, of resource: Resource) throws(Problem) {
        guard resource.group == Self.certificateGroup, resource.plural == "certificatesigningrequests" else { return }
        let verdicts = CertificateRequestStrategy.verdicts
        let isVerdict = { (condition: JSON) in verdicts.contains(condition["type"]?.string ?? "") }
        let conditions =
            (old.status["conditions"]?.array ?? []).filter(isVerdict)
            + (new.status["conditions"]?.array ?? []).filter { !isVerdict($0) }
        if !conditions.isEmpty || new.status["conditions"] != nil {
            new["status", "conditions"] = dated(.array(conditions), from: old)
        }
        var faults = CertificateRequestStrategy.conditionFaults(new, from: old, isVerdict: false)
        let certificate = old.status["certificate"]?.string ?? ""
        if !certificate.isEmpty, new.status["certificate"] != old.status["certificate"] {
            faults.append(
                .forbidden(
                    "status.certificate",
                    "updates may not set certificate content if existing certificate content has been set"))
        }
        if !faults.isEmpty { throw .invalid(resource, old.name, faults) }
        let fails = new.condition("Failed") != nil && old.condition("Failed") == nil
        if fails || new.status["certificate"] != old.status["certificate"] {
            try checkSigner(of: old, verb: "sign", "sign", resource)
        }
    }

    /// Whether the caller may approve or sign for the request's signer, by its name or by its domain.
    private func checkSigner(of request: Object, verb: String, _ word: String, _ resource: Resource) throws(Problem) {
        guard let caller = Caller.current else { return }
        let signer = request["spec", "signerName"]?.string ?? ""
        let domain = signer.split(separator: "/").first.map { "\($0)/*" } ?? ""
        for name in [signer, domain] {
            let may = AccessRequest(
                verb: verb, target: .init(group: Self.certificateGroup, plural: "signers", name: name))
            if access.authorizer.decide(caller, may).isAllowed { return }
        }
        throw .forbidden(
            resource, request.name, "user not permitted to \(word) requests with signerName \"\(signer)\"")
    }

    /// The conditions with the times that the server owns: of the last update, and of the last change of the status.
    private func dated(_ conditions: JSON?, from old: Object) -> JSON? {
        guard let list = conditions?.array else { return nil }
        let now = JSON.string(environment.now().rfc3339)
        return .array(
            list.map { condition in
                var condition = condition
                let before = old.condition(condition["type"]?.string ?? "")
                let changed = before?["status"] == condition["status"] ? before?["lastTransitionTime"] ?? now : now
                condition.fill("lastUpdateTime", now)
                condition.fill("lastTransitionTime", changed)
                return condition
            })
    }
}
