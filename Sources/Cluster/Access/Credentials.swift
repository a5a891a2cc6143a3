// The secrets of one cluster on disk: its authority, the server's certificate, the admin's, and the key of tokens.

import Objects

/// What the server proves itself with, and what its admin proves himself with.
package struct Credentials: Sendable {
    /// Whom the admin's certificate and token stand for.
    package static let admin = Identity(
        name: "kubernetes-admin", groups: [Identity.mastersGroup, Identity.authenticatedGroup])

    /// The certificate that clients trust and that client certificates are verified by.
    package var authorityPEM: String { authority.certificatePEM }
    /// The authority with its key, for those who sign with it.
    let authority: KeyPair
    package let server: KeyPair
    package let admin: KeyPair
    package let adminToken: String
    /// Signs the tokens of service accounts; nil where none are issued.
    package var tokenKeyPEM: String?

    /// Reads them from a directory (`DIR/pki`), making what is missing: the authority once, the certificates that it
    /// signs again when they are about to expire or the server's names have changed.
    ///
    /// `now` is in seconds since 1970. One process at a time: the store's lock sees to that. Files: `ca.crt`, `ca.key`,
    /// `apiserver.crt`, `apiserver.key`, `admin.crt`, `admin.key`, `admin.token`, `sa.key`; readable by their owner
    /// only.
    package static func open(
        at path: String, names: ServerNames = .init(), now: Int64
    ) throws(Problem) -> Credentials {
        var random = SystemRandomNumberGenerator()
        return try open(at: path, names: names, now: now, random: &random)
    }

    /// The same, with a source of randomness for the token; keys always come from the system's.
    static func open(
        at path: String, names: ServerNames, now: Int64, random: inout some RandomNumberGenerator
    ) throws(Problem) -> Credentials {
        let directory = try SecretDirectory(path)
        let issuer = try authority(in: directory, now: now)
        let groups = admin.groups.filter { $0 != Identity.authenticatedGroup }
        return Credentials(
            authority: issuer.pair,
            server: try leaf("apiserver", "kube-apiserver", .server(names), in: directory, from: issuer, now: now),
            admin: try leaf("admin", admin.name, .client(groups: groups), in: directory, from: issuer, now: now),
            adminToken: try token(in: directory, random: &random), tokenKeyPEM: try tokenKey(in: directory))
    }

    /// Made once and kept: every token out there ends with it.
    private static func tokenKey(in directory: SecretDirectory) throws(Problem) -> String {
        if let key = try directory.read("sa.key") {
            // Said now rather than at the first token.
            _ = try TokenKey(pem: key)
            return key
        }
        let key = TokenKey.makePEM()
        try directory.write(key, to: "sa.key")
        return key
    }

    private static func authority(in directory: SecretDirectory, now: Int64) throws(Problem) -> Issuer {
        let key = try directory.read("ca.key")
        if let certificate = try directory.read("ca.crt") {
            guard let key else {
                throw Problem(
                    .internalError,
                    "\(directory.path)/ca.key is missing: restore it, or remove \(directory.path) to begin with a new "
                        + "authority (every kubeconfig has to be fetched again then)")
            }
            let issuer = try Issuer(KeyPair(certificatePEM: certificate, keyPEM: key))
            guard !issuer.expires(within: 0, of: now) else {
                throw Problem(
                    .internalError,
                    "the certificate authority in \(directory.path) has expired: remove \(directory.path) to begin "
                        + "with a new one, or set the clock right")
            }
            return issuer
        }
        // The key goes first: a key without certificate gets one, the other way round nothing could be signed.
        let issuer = try Issuer(commonName: "mangrove-ca", now: now, key: key)
        if key == nil { try directory.write(issuer.pair.keyPEM, to: "ca.key") }
        try directory.write(issuer.pair.certificatePEM, to: "ca.crt")
        return issuer
    }

    private static func leaf(
        _ file: String, _ commonName: String, _ purpose: LeafPurpose, in directory: SecretDirectory,
        from issuer: Issuer, now: Int64
    ) throws(Problem) -> KeyPair {
        if let certificate = try directory.read("\(file).crt"), let key = try directory.read("\(file).key") {
            let pair = KeyPair(certificatePEM: certificate, keyPEM: key)
            if issuer.isGood(pair, commonName, for: purpose, now: now) { return pair }
        }
        let pair = try issuer.issue(commonName, for: purpose, now: now)
        try directory.write(pair.keyPEM, to: "\(file).key")
        try directory.write(pair.certificatePEM, to: "\(file).crt")
        return pair
    }

    private static func token(
        in directory: SecretDirectory, random: inout some RandomNumberGenerator
    ) throws(Problem) -> String {
        if let text = try directory.read("admin.token") {
            let token = text.filter { !$0.isWhitespace }
            if token.utf8.count >= 32 { return token }
        }
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
        var token: [UInt8] = []
        for _ in 0..<40 { token.append(alphabet[Int.random(in: 0..<alphabet.count, using: &random)]) }
        let text = String(decoding: token, as: UTF8.self)
        try directory.write(text + "\n", to: "admin.token")
        return text
    }
}
