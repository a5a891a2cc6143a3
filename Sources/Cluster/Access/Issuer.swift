// Makes and reads X.509 certificates: an authority, and the leaves that it signs.

import Crypto
import Glibc
import Objects
import X509

/// A certificate and its private key, as PEM.
package struct KeyPair: Sendable, Hashable {
    package let certificatePEM: String
    package let keyPEM: String

    package init(certificatePEM: String, keyPEM: String) {
        self.certificatePEM = certificatePEM
        self.keyPEM = keyPEM
    }
}

/// What a leaf certificate is for.
enum LeafPurpose: Sendable, Hashable {
    /// A server that is reached under these names and addresses.
    case server(ServerNames)
    /// A client with these groups.
    case client(groups: [String])
}

/// An authority that signs. Keys are ECDSA P-256: small, quick, and every TLS client takes them.
struct Issuer {
    static let authorityLifetimeDays: Int64 = 3650
    static let leafLifetimeDays: Int64 = 365
    /// A leaf is made anew when it has less than this left.
    static let renewalDays: Int64 = 90
    /// Certificates begin a little in the past, for clients whose clocks are behind.
    static let backdatingSeconds: Int64 = 3600

    let pair: KeyPair
    let certificate: Certificate
    let key: Certificate.PrivateKey

    /// A fresh authority.
    init(commonName: String, now: Int64, key pem: String?) throws(Problem) {
        do {
            let secret = try pem.map { try P256.Signing.PrivateKey(pemRepresentation: $0) } ?? P256.Signing.PrivateKey()
            key = Certificate.PrivateKey(secret)
            let name = try DistinguishedName { CommonName(commonName) }
            let publicKey = key.publicKey
            certificate = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: publicKey,
                notValidBefore: .init(timeIntervalSince1970: Double(now - Self.backdatingSeconds)),
                notValidAfter: .init(timeIntervalSince1970: Double(now + Self.authorityLifetimeDays * 86_400)),
                issuer: name, subject: name,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(digitalSignature: true, keyCertSign: true, cRLSign: true))
                    SubjectKeyIdentifier(hash: publicKey)
                },
                issuerPrivateKey: key)
            pair = KeyPair(
                certificatePEM: try certificate.serializeAsPEM().pemString + "\n",
                keyPEM: secret.pemRepresentation + "\n")
        } catch {
            throw Problem(.internalError, "cannot make a certificate authority: \(error)")
        }
    }

    /// An authority that was made before.
    init(_ pair: KeyPair) throws(Problem) {
        do {
            certificate = try Certificate(pemEncoded: pair.certificatePEM)
            key = try Certificate.PrivateKey(pemEncoded: pair.keyPEM)
        } catch {
            throw Problem(.internalError, "cannot read the certificate authority: \(error)")
        }
        guard key.publicKey == certificate.publicKey else {
            throw Problem(.internalError, "the certificate authority's key is not the one of its certificate")
        }
        self.pair = pair
    }

    func expires(within days: Int64, of now: Int64) -> Bool { Self.expires(certificate, within: days, of: now) }

    /// A certificate with a fresh key.
    func issue(_ commonName: String, for purpose: LeafPurpose, now: Int64) throws(Problem) -> KeyPair {
        do {
            let secret = P256.Signing.PrivateKey()
            let publicKey = Certificate.PublicKey(secret.publicKey)
            let authorityKey = SubjectKeyIdentifier(hash: certificate.publicKey).keyIdentifier
            let leaf = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: publicKey,
                notValidBefore: .init(timeIntervalSince1970: Double(now - Self.backdatingSeconds)),
                notValidAfter: .init(timeIntervalSince1970: Double(now + Self.leafLifetimeDays * 86_400)),
                issuer: certificate.subject, subject: try Self.subject(commonName, purpose),
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    Critical(KeyUsage(digitalSignature: true))
                    try ExtendedKeyUsage([Self.usage(purpose)])
                    SubjectKeyIdentifier(hash: publicKey)
                    AuthorityKeyIdentifier(keyIdentifier: authorityKey)
                    if case .server(let names) = purpose { SubjectAlternativeNames(names.alternatives) }
                },
                issuerPrivateKey: key)
            return KeyPair(
                certificatePEM: try leaf.serializeAsPEM().pemString + "\n", keyPEM: secret.pemRepresentation + "\n")
        } catch {
            throw Problem(.internalError, "cannot make the certificate of \(commonName): \(error)")
        }
    }

    /// Whether a leaf still does: signed by this authority, its own key, the same names or groups, not about to expire.
    func isGood(_ leaf: KeyPair, _ commonName: String, for purpose: LeafPurpose, now: Int64) -> Bool {
        guard let read = try? Certificate(pemEncoded: leaf.certificatePEM),
            let secret = try? Certificate.PrivateKey(pemEncoded: leaf.keyPEM),
            secret.publicKey == read.publicKey,
            certificate.publicKey.isValidSignature(read.signature, for: read),
            !Self.expires(read, within: Self.renewalDays, of: now),
            let subject = try? Self.subject(commonName, purpose), subject == read.subject
        else { return false }
        guard case .server(let names) = purpose else { return true }
        let alternatives = try? read.extensions.subjectAlternativeNames
        return alternatives.map { Set($0) == Set(names.alternatives) } ?? false
    }

    static func certificate(pem: String) throws(Problem) -> Certificate {
        do {
            return try Certificate(pemEncoded: pem)
        } catch {
            throw Problem(.internalError, "cannot read a certificate: \(error)")
        }
    }

    private static func expires(_ certificate: Certificate, within days: Int64, of now: Int64) -> Bool {
        certificate.notValidAfter.timeIntervalSince1970 < Double(now + days * 86_400)
    }

    private static func usage(_ purpose: LeafPurpose) -> ExtendedKeyUsage.Usage {
        if case .server = purpose { .serverAuth } else { .clientAuth }
    }

    private static func subject(_ commonName: String, _ purpose: LeafPurpose) throws -> DistinguishedName {
        guard case .client(let groups) = purpose else { return try DistinguishedName { CommonName(commonName) } }
        return try DistinguishedName {
            for group in groups { OrganizationName(group) }
            CommonName(commonName)
        }
    }
}

/// The names and addresses under which clients reach the server.
package struct ServerNames: Sendable, Hashable {
    package var names = [
        "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ]
    /// IPv4 and IPv6, as text; `10.96.0.1` is the service `kubernetes`.
    package var addresses = ["127.0.0.1", "::1", "10.96.0.1"]

    package init() {}

    /// Adds a name or an address, each once.
    package mutating func add(_ name: String) {
        if Self.bytes(of: name) != nil {
            if !addresses.contains(name) { addresses.append(name) }
        } else if !name.isEmpty, !names.contains(name) {
            names.append(name)
        }
    }

    fileprivate var alternatives: [GeneralName] {
        names.map { .dnsName($0) }
            + addresses.compactMap { text in Self.bytes(of: text).map { .ipAddress(.init(contentBytes: $0[...])) } }
    }

    private static func bytes(of address: String) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, address, &bytes) == 1 { return Array(bytes[..<4]) }
        return inet_pton(AF_INET6, address, &bytes) == 1 ? bytes : nil
    }
}
