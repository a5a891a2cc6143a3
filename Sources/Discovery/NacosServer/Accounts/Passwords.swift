// Passwords are kept as PBKDF2 hashes (RFC 8018, section 5.2) with HMAC-SHA256.

import Crypto
import Formats

enum Passwords {
    /// Kept in each hash, so that it can be raised.
    static let iterations = 20_000
    static let mostIterations = 1_000_000
    static let saltBytes = 16
    static let longestBytes = 256

    /// `pbkdf2-sha256$<iterations>$<salt>$<hash>`, both in base64.
    static func hash(_ password: String, salt: [UInt8], iterations: Int = Passwords.iterations) -> String {
        let key = derive(password, salt: salt, iterations: iterations)
        return "pbkdf2-sha256$\(iterations)$\(Base64.encode(salt))$\(Base64.encode(key))"
    }

    static func salt() -> [UInt8] {
        Array(SymmetricKey(size: .bits128).withUnsafeBytes { Array($0) }.prefix(saltBytes))
    }

    static func matches(_ password: String, _ hash: String) -> Bool {
        let parts = hash.split(separator: "$").map(String.init)
        guard parts.count == 4, parts[0] == "pbkdf2-sha256", let iterations = Int(parts[1]),
            (1...mostIterations).contains(iterations), let salt = Base64.decode(parts[2]),
            let key = Base64.decode(parts[3]), password.utf8.count <= longestBytes
        else { return false }
        let derived = derive(password, salt: salt, iterations: iterations)
        // Takes the same time wherever they differ.
        return derived.count == key.count && zip(derived, key).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    /// The first block, which is as long as the digest.
    private static func derive(_ password: String, salt: [UInt8], iterations: Int) -> [UInt8] {
        let key = SymmetricKey(data: Array(password.utf8))
        var round = Array(HMAC<SHA256>.authenticationCode(for: salt + [0, 0, 0, 1], using: key))
        var result = round
        for _ in 1..<max(iterations, 1) {
            round = Array(HMAC<SHA256>.authenticationCode(for: round, using: key))
            for position in result.indices { result[position] ^= round[position] }
        }
        return result
    }
}
