// What a certificate signing request asks for, and what each of the cluster's signers is willing to sign.

import Formats
import Objects
import X509

/// The signers of this cluster (upstream: pkg/apis/certificates/helpers.go, pkg/controller/certificates/signer).
package enum CertificateSigner: String, Sendable, CaseIterable {
    /// Any client of the API, except members of `system:masters`.
    case client = "kubernetes.io/kube-apiserver-client"
    /// A node's agent as a client.
    case kubeletClient = "kubernetes.io/kube-apiserver-client-kubelet"
    /// A node's agent as a server.
    case kubeletServing = "kubernetes.io/kubelet-serving"

    /// Not to be asked of through this API (upstream: pkg/apis/certificates/validation).
    package static let legacyName = "kubernetes.io/legacy-unknown"
}

/// A PKCS #10 request, read from PEM and checked to be signed with the key that it shows.
package struct RequestedCertificate: Sendable {
    static let blockType = "CERTIFICATE REQUEST"
    static let nodeGroup = "system:nodes"
    static let nodePrefix = "system:node:"

    let request: CertificateSigningRequest
    package let commonName: String
    package let organizations: [String]

    package init(pem: String) throws(Problem) {
        guard pem.contains("-----BEGIN \(Self.blockType)-----") else {
            throw .badRequest("PEM block type must be \(Self.blockType)")
        }
        do {
            request = try CertificateSigningRequest(pemEncoded: pem)
        } catch {
            throw .badRequest("the certificate request cannot be read: \(error)")
        }
        guard request.publicKey.isValidSignature(request.signature, for: request) else {
            throw .badRequest("the certificate request is not signed with its own key")
        }
        var name = ""
        var organizations: [String] = []
        for attribute in request.subject.joined() {
            guard let value = String(attribute.value) else { continue }
            if attribute.type == .RDNAttributeType.commonName { name = value }
            if attribute.type == .RDNAttributeType.organizationName { organizations.append(value) }
        }
        commonName = name
        self.organizations = organizations
    }

    /// The names and addresses that the request asks for, of any kind.
    var alternatives: [GeneralName] {
        guard let extensions = try? request.attributes.extensionRequest?.extensions,
            let names = try? extensions.subjectAlternativeNames
        else { return [] }
        return Array(names)
    }

    /// Why a signer refuses this request with these usages; nil when it signs.
    package func refusal(by signer: CertificateSigner, usages: [String]) -> String? {
        let usages = Set(usages)
        let common: Set<String> = ["digital signature", "key encipherment"]
        switch signer {
        case .client:
            if !usages.contains("client auth") { return "usages must include client auth" }
            return usages.isSubset(of: common.union(["client auth"])) ? nil : Self.usageFault("client auth")
        case .kubeletClient:
            if let fault = nodeFault { return fault }
            if let fault = alternativesFault(allowsNames: false) { return fault }
            return Self.isNodeUsage(usages, "client auth") ? nil : Self.usageFault("client auth")
        case .kubeletServing:
            if let fault = nodeFault { return fault }
            if let fault = alternativesFault(allowsNames: true) { return fault }
            return Self.isNodeUsage(usages, "server auth") ? nil : Self.usageFault("server auth")
        }
    }

    private static func isNodeUsage(_ usages: Set<String>, _ kind: String) -> Bool {
        usages == ["digital signature", kind] || usages == ["digital signature", "key encipherment", kind]
    }

    private static func usageFault(_ kind: String) -> String {
        "usages did not match [digital signature key encipherment \(kind)]"
    }

    private var nodeFault: String? {
        if organizations != [Self.nodeGroup] { return "subject organization is not system:nodes" }
        return commonName.hasPrefix(Self.nodePrefix) ? nil : "subject common name does not begin with system:node:"
    }

    private func alternativesFault(allowsNames: Bool) -> String? {
        var named = false
        for name in alternatives {
            switch name {
            case .dnsName, .ipAddress:
                if !allowsNames { return "DNS or IP subjectAltNames are not allowed" }
                named = true
            case .rfc822Name: return "Email subjectAltNames are not allowed"
            case .uniformResourceIdentifier: return "URI subjectAltNames are not allowed"
            default: return "subjectAltNames of other kinds than DNS and IP are not allowed"
            }
        }
        return allowsNames && !named ? "DNS or IP subjectAltName is required" : nil
    }
}
