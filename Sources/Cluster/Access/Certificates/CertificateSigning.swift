// Signs what others ask for with the cluster's own authority.

import Objects
import X509

/// The cluster's authority, as the controller that answers certificate signing requests uses it.
package struct CertificateSigning: Sendable {
    /// A certificate lives so long unless its request asks for less (upstream: `--cluster-signing-duration`).
    static let lifetimeSeconds: Int64 = 365 * 86_400
    package static let leastSeconds: Int64 = 600
    /// Certificates begin a little in the past, for clients whose clocks are behind.
    static let backdatingSeconds: Int64 = 300

    private let issuer: Issuer

    package init(_ credentials: Credentials) throws(Problem) {
        issuer = try Issuer(credentials.authority)
    }

    /// The certificate as PEM. Throws `BadRequest` with the reason when the signer does not sign such a thing.
    package func sign(
        requestPEM: String, by signer: CertificateSigner, usages: [String], seconds: Int64?, now: Int64
    ) throws(Problem) -> String {
        let request = try RequestedCertificate(pem: requestPEM)
        if let why = request.refusal(by: signer, usages: usages) { throw .badRequest(why) }
        let life = min(max(seconds ?? Self.lifetimeSeconds, Self.leastSeconds), Self.lifetimeSeconds)
        return try issuer.issue(
            request, usages: usages, from: now - Self.backdatingSeconds, until: now - Self.backdatingSeconds + life)
    }
}

extension Issuer {
    /// A certificate for the key, subject and names of a request, which its signer has found good.
    fileprivate func issue(
        _ wanted: RequestedCertificate, usages: [String], from: Int64, until: Int64
    ) throws(Problem) -> String {
        do {
            let publicKey = wanted.request.publicKey
            let end = min(Double(until), certificate.notValidAfter.timeIntervalSince1970)
            let authorityKey = SubjectKeyIdentifier(hash: certificate.publicKey).keyIdentifier
            let signs = usages.contains("digital signature")
            let enciphers = usages.contains("key encipherment")
            let extended = try usages.compactMap(Self.extendedUsage)
            let leaf = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: publicKey,
                notValidBefore: .init(timeIntervalSince1970: Double(from)),
                notValidAfter: .init(timeIntervalSince1970: end),
                issuer: certificate.subject, subject: wanted.request.subject,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    // One without any bit would forbid every use; upstream leaves it out then.
                    if signs || enciphers {
                        Critical(KeyUsage(digitalSignature: signs, keyEncipherment: enciphers))
                    }
                    try ExtendedKeyUsage(extended)
                    AuthorityKeyIdentifier(keyIdentifier: authorityKey)
                    if !wanted.alternatives.isEmpty { SubjectAlternativeNames(wanted.alternatives) }
                },
                issuerPrivateKey: key)
            return try leaf.serializeAsPEM().pemString + "\n"
        } catch {
            throw Problem(.internalError, "cannot sign the certificate of \(wanted.commonName): \(error)")
        }
    }

    /// Only the extended usages that a signer lets through; the others are of the key itself.
    private static func extendedUsage(_ usage: String) throws -> ExtendedKeyUsage.Usage? {
        switch usage {
        case "client auth": .clientAuth
        case "server auth": .serverAuth
        default: nil
        }
    }
}
