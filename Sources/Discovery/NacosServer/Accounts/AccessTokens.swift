// Tokens that a login gives out: JSON web tokens signed with HMAC-SHA256 (RFC 7515, 7519), as Nacos' are.

import Crypto
import Formats

struct AccessTokens: Sendable {
    /// Nacos' `nacos.core.auth.plugin.nacos.token.expire.seconds`.
    static let lifetimeSeconds = 18_000
    static let longestBytes = 4_096

    private let key: SymmetricKey

    init(key: [UInt8]) { self.key = SymmetricKey(data: key) }

    func make(for user: String, nowSeconds: Int64) -> String {
        let header = Self.encode(Array(#"{"alg":"HS256"}"#.utf8))
        let claims: JSON = ["sub": .string(user), "exp": .integer(nowSeconds + Int64(Self.lifetimeSeconds))]
        let signed = header + "." + Self.encode(claims.bytes)
        let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: key)
        return signed + "." + Self.encode(Array(code))
    }

    /// The user a token was given to; refuses one that is not ours or too old.
    func user(of token: String, nowSeconds: Int64) throws(NacosProblem) -> String {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard token.utf8.count <= Self.longestBytes, parts.count == 3, let code = Self.decode(parts[2]),
            HMAC<SHA256>.isValidAuthenticationCode(
                code, authenticating: Array((parts[0] + "." + parts[1]).utf8), using: key),
            let bytes = Self.decode(parts[1]), let claims = try? JSON(parsing: bytes),
            let user = claims["sub"]?.string, let end = claims["exp"]?.integer
        else { throw .unknownUser("token invalid!") }
        guard Int64(end) > nowSeconds else { throw .unknownUser("token expired!") }
        return user
    }

    private static func encode(_ bytes: [UInt8]) -> String {
        String(Base64.encode(bytes).compactMap { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 == "=" ? nil : $0 })
    }

    private static func decode(_ text: String) -> [UInt8]? {
        let plain = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
        return Base64.decode(plain + String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4))
    }
}
