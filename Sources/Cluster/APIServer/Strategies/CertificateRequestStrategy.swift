// The rules of CertificateSigningRequests (upstream: pkg/apis/certificates/validation, registry/certificates).

import Access
import Formats
import Objects

struct CertificateRequestStrategy: Strategy {
    static let usages: Set<String> = [
        "signing", "digital signature", "content commitment", "key encipherment", "key agreement", "data encipherment",
        "cert sign", "crl sign", "encipher only", "decipher only", "any", "server auth", "client auth", "code signing",
        "email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user", "timestamping", "ocsp signing",
        "microsoft sgc", "netscape sgc",
    ]
    /// The conditions that only the approval subresource sets.
    static let verdicts: Set<String> = ["Approved", "Denied"]

    var hasStatus: Bool { true }
    var selectableFields: [String] { ["spec.signerName"] }

    /// Who asks is what the server saw, not what the request says.
    func prepareForCreate(_ object: inout Object) {
        let info = Caller.current?.userInfo ?? [:]
        for field in ["username", "uid", "groups", "extra"] { object["spec", field] = info[field] }
        object.status = [:]
    }

    func prepareForUpdate(_ object: inout Object, from old: Object) { object["spec"] = old["spec"] }

    func faults(in object: Object) -> [FieldFault] {
        let spec = object.spec
        return requestFaults(spec) + usageFaults(spec) + signerFaults(spec) + expirationFaults(spec)
    }

    private func requestFaults(_ spec: JSON) -> [FieldFault] {
        let encoded = spec["request"]?.string ?? ""
        if encoded.isEmpty { return [.required("spec.request")] }
        do throws(Problem) {
            let bytes = Base64.decode(encoded) ?? []
            _ = try RequestedCertificate(pem: String(decoding: bytes, as: UTF8.self))
            return []
        } catch {
            return [.invalid("spec.request", spec["request"], error.message)]
        }
    }

    private func usageFaults(_ spec: JSON) -> [FieldFault] {
        let usages = spec["usages"]?.strings ?? []
        if usages.isEmpty { return [.required("spec.usages")] }
        return usages.enumerated().compactMap { position, usage in
            let path = "spec.usages[\(position)]"
            if !Self.usages.contains(usage) { return .notSupported(path, .string(usage), Self.usages.sorted()) }
            return usages[..<position].contains(usage) ? .duplicate(path, .string(usage)) : nil
        }
    }

    private func signerFaults(_ spec: JSON) -> [FieldFault] {
        let name = spec["signerName"]?.string ?? ""
        let path = "spec.signerName"
        if name.isEmpty { return [.required(path)] }
        if name == CertificateSigner.legacyName {
            return [.invalid(path, .string(name), "the legacy signerName is not allowed via this API version")]
        }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else {
            return [
                .invalid(
                    path, .string(name),
                    "must be a fully qualified domain and path of the form 'example.com/signer-name'")
            ]
        }
        if !parts[0].contains(".") {
            return [
                .invalid(path, .string(parts[0]), "should be a domain with at least two segments separated by dots")
            ]
        }
        return parts.compactMap { part in
            NameRules.fault(part, .subdomain).map { .invalid(path, .string(part), $0) }
        }
    }

    private func expirationFaults(_ spec: JSON) -> [FieldFault] {
        guard let seconds = spec["expirationSeconds"]?.integer, Int64(seconds) < CertificateSigning.leastSeconds else {
            return []
        }
        return [
            .invalid(
                "spec.expirationSeconds", JSON(seconds),
                "may not specify a duration less than 600 seconds (10 minutes)")
        ]
    }

    /// What is wrong with the conditions of a status, by themselves and as a change.
    static func conditionFaults(_ new: Object, from old: Object, isVerdict: Bool) -> [FieldFault] {
        let path = "status.conditions"
        var faults: [FieldFault] = []
        var seen: Set<String> = []
        for (position, condition) in (new.status["conditions"]?.array ?? []).enumerated() {
            let type = condition["type"]?.string ?? ""
            let at = "\(path)[\(position)]"
            if type.isEmpty { faults.append(.required("\(at).type")) }
            if !seen.insert(type).inserted { faults.append(.duplicate("\(at).type", .string(type))) }
            if verdicts.union(["Failed"]).contains(type), condition["status"]?.string != "True" {
                faults.append(.notSupported("\(at).status", condition["status"] ?? "", ["True"]))
            }
        }
        if seen.isSuperset(of: verdicts) {
            faults.append(.invalid(path, "Denied", "Approved and Denied conditions are mutually exclusive"))
        }
        let before = Set((old.status["conditions"]?.array ?? []).compactMap { $0["type"]?.string })
        for type in verdicts.union(["Failed"]).sorted() {
            if before.contains(type), !seen.contains(type) {
                faults.append(.forbidden(path, "updates may not remove a condition of type \"\(type)\""))
            }
            if isVerdict, type == "Failed", seen.contains(type), !before.contains(type) {
                faults.append(.forbidden(path, "updates may not add a condition of type \"\(type)\""))
            }
        }
        return faults
    }
}
