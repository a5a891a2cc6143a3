// JSON Web Tokens signed with ECDSA P-256 (RFC 7515, 7518: ES256), which is all that this cluster issues and takes.

import Crypto
import Formats
import Objects

/// A key that signs tokens, and its public half as clients fetch it.
package struct TokenKey: Sendable {
    private let key: P256.Signing.PrivateKey
    /// Names the key in tokens: the hash of its public half, as upstream names keys.
    package let id: String

    package init(pem: String) throws(Problem) {
        do {
            self.init(try P256.Signing.PrivateKey(pemRepresentation: pem))
        } catch {
            throw Problem(.internalError, "cannot read the key that signs service account tokens: \(error)")
        }
    }

    private init(_ key: P256.Signing.PrivateKey) {
        self.key = key
        id = Base64URL.encode(Array(SHA256.hash(data: Array(key.publicKey.derRepresentation))))
    }

    /// A fresh key, as PEM.
    static func makePEM() -> String { P256.Signing.PrivateKey().pemRepresentation + "\n" }

    /// The compact form of a token with these claims.
    package func sign(_ claims: JSON) throws(Problem) -> String {
        let header: JSON = ["alg": "ES256", "kid": .string(id)]
        let body = Base64URL.encode(header.bytes) + "." + Base64URL.encode(claims.bytes)
        do {
            let signature = try key.signature(for: Array(body.utf8))
            return body + "." + Base64URL.encode(Array(signature.rawRepresentation))
        } catch {
            throw Problem(.internalError, "cannot sign a token: \(error)")
        }
    }

    /// The claims of a token that this key signed; nil for any other.
    func claims(of token: String) -> JSON? {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3,
            let header = Base64URL.decode(parts[0]).flatMap({ try? JSON(parsing: $0) }),
            header["alg"] == "ES256", header["kid"] == nil || header["kid"]?.string == id,
            let bytes = Base64URL.decode(parts[2]),
            let signature = try? P256.Signing.ECDSASignature(rawRepresentation: bytes),
            key.publicKey.isValidSignature(signature, for: Array((parts[0] + "." + parts[1]).utf8)),
            let claims = Base64URL.decode(parts[1]).flatMap({ try? JSON(parsing: $0) }), claims.object != nil
        else { return nil }
        return claims
    }

    /// The public half as a JSON Web Key (RFC 7517).
    var publicKey: JSON {
        // The uncompressed point: a byte 4, then x and y of 32 bytes each.
        let point = Array(key.publicKey.x963Representation)
        return [
            "use": "sig", "kty": "EC", "kid": .string(id), "crv": "P-256", "alg": "ES256",
            "x": .string(Base64URL.encode(Array(point[1..<33]))), "y": .string(Base64URL.encode(Array(point[33...]))),
        ]
    }
}

/// Base 64 for URLs without padding (RFC 4648 section 5).
package enum Base64URL {
    static func encode(_ bytes: [UInt8]) -> String {
        var text = Base64.encode(bytes)
        while text.hasSuffix("=") { text.removeLast() }
        return String(text.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
    }

    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        guard !text.contains(where: { $0 == "+" || $0 == "/" || $0 == "=" }) else { return nil }
        let standard = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
        return Base64.decode(standard + String(repeating: "=", count: (4 - standard.utf8.count % 4) % 4))
    }
}
