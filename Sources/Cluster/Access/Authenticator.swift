// Turns what a connection and a request show into an identity.

import Objects
import X509

/// Knows the authority that signs client certificates, the admin token and the issuer of service account tokens.
package struct Authenticator: Sendable {
    private let authority: Certificate
    private let token: [UInt8]
    package let tokens: ServiceAccountTokens?

    package init(_ credentials: Credentials) throws(Problem) {
        authority = try Issuer.certificate(pem: credentials.authorityPEM)
        token = Array(credentials.adminToken.utf8)
        tokens = try credentials.tokenKeyPEM.map { key throws(Problem) in
            ServiceAccountTokens(key: try TokenKey(pem: key))
        }
    }

    /// The identity of a request: the client certificate's if there is one, else the bearer token's, else anonymous.
    ///
    /// `certificate` is the DER of the leaf that the TLS layer verified; `authorization` is the header's value. Throws
    /// `Unauthorized` for a certificate or token that is shown but not good.
    package func identify(
        certificate: [UInt8]?, authorization: String?, now: Int64 = 0,
        lookup: ServiceAccountTokens.Lookup = { _, _ in nil }
    ) throws(Problem) -> Identity {
        if let certificate { return try identity(certificateDER: certificate) }
        guard let authorization else { return .anonymous }
        let words = authorization.utf8.split(separator: UInt8(ascii: " "), maxSplits: 1).map { Substring($0) }
        guard words.count == 2, words[0].lowercased() == "bearer" else { return .anonymous }
        let shown = String(words[1].drop { $0 == " " })
        do throws(Problem) {
            return try identity(token: shown, now: now, lookup: lookup).identity
        } catch {
            // Why is for logs and TokenReviews; who shows a bad token is told no more than that.
            throw Self.unauthorized
        }
    }

    /// Whom a bearer token stands for, and those of the wanted audiences (this server's, if none is given) that it is
    /// for. Throws `Unauthorized`, saying why.
    package func identity(
        token shown: String, for audiences: [String]? = nil, now: Int64, lookup: ServiceAccountTokens.Lookup
    ) throws(Problem) -> (identity: Identity, audiences: [String]) {
        if isToken(shown.utf8) {
            let own = tokens?.audiences ?? []
            let fitting = audiences?.filter(own.contains) ?? own
            if audiences == nil || !fitting.isEmpty { return (Credentials.admin, fitting) }
        }
        if let found = try tokens?.identity(of: shown, for: audiences, now: now, lookup: lookup) { return found }
        throw Problem(.unauthorized, "invalid bearer token")
    }

    /// The identity in a client certificate: the common name is the user, the organizations are groups.
    package func identity(certificateDER: [UInt8]) throws(Problem) -> Identity {
        let certificate: Certificate
        do {
            certificate = try Certificate(derEncoded: certificateDER)
        } catch {
            throw Self.unauthorized
        }
        return try identity(certificate)
    }

    package func identity(certificatePEM: String) throws(Problem) -> Identity {
        let certificate: Certificate
        do {
            certificate = try Certificate(pemEncoded: certificatePEM)
        } catch {
            throw Self.unauthorized
        }
        return try identity(certificate)
    }

    /// Checks once more that this authority signed it, and that it did so for a client: a server's certificate is
    /// nobody.
    package func identity(_ certificate: Certificate) throws(Problem) -> Identity {
        guard authority.publicKey.isValidSignature(certificate.signature, for: certificate),
            let usages = try? certificate.extensions.extendedKeyUsage, usages.contains(.clientAuth)
        else { throw Self.unauthorized }
        var name = ""
        var groups: [String] = []
        for attribute in certificate.subject.joined() {
            guard let value = String(attribute.value) else { continue }
            if attribute.type == .RDNAttributeType.commonName { name = value }
            if attribute.type == .RDNAttributeType.organizationName { groups.append(value) }
        }
        guard !name.isEmpty else { throw Self.unauthorized }
        return Identity(name: name, groups: groups + [Identity.authenticatedGroup])
    }

    /// Takes the same time wherever the first difference is.
    private func isToken(_ shown: some Collection<UInt8>) -> Bool {
        guard !token.isEmpty, shown.count == token.count else { return false }
        var difference: UInt8 = 0
        for (one, other) in zip(shown, token) { difference |= one ^ other }
        return difference == 0
    }

    private static let unauthorized = Problem(.unauthorized, "Unauthorized")
}
