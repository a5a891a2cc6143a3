// Passwords, tokens and rights.

import Formats
import Testing

@testable import NacosServer

@Suite struct PasswordTests {
    /// RFC 7914, section 11, gives PBKDF2-HMAC-SHA256 vectors of 64 bytes; the first block is the digest's 32.
    @Test func hashesAsTheStandardSays() {
        let hash = Passwords.hash("passwd", salt: Array("salt".utf8), iterations: 1)
        let first: [UInt8] = [
            0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f, 0xec, 0x16, 0x91, 0xc2, 0x25, 0x44, 0xb6, 0x05, 0xf9, 0x41,
            0x85, 0x21, 0x6d, 0xde, 0x04, 0x65, 0xe6, 0x8b, 0x9d, 0x57, 0xc2, 0x0d, 0xac, 0xbc,
        ]
        #expect(hash == "pbkdf2-sha256$1$\(Base64.encode(Array("salt".utf8)))$\(Base64.encode(first))")
    }

    @Test func onlyTheRightPasswordMatches() {
        let hash = Passwords.hash("secret", salt: Passwords.salt(), iterations: 2)
        #expect(Passwords.matches("secret", hash))
        #expect(!Passwords.matches("Secret", hash))
        for broken in ["", "$", "pbkdf2-sha256$0$$", "pbkdf2-sha256$999999999$c2FsdA==$c2FsdA==", "plain$1$a$b"] {
            #expect(!Passwords.matches("secret", broken))
        }
    }
}

@Suite struct AccessTokenTests {
    private let tokens = AccessTokens(key: Array(repeating: 7, count: 32))

    @Test func aTokenNamesItsUserUntilItEnds() throws {
        let token = tokens.make(for: "nacos", nowSeconds: 100)
        #expect(try tokens.user(of: token, nowSeconds: 101) == "nacos")
        let end = 100 + Int64(AccessTokens.lifetimeSeconds)
        #expect(throws: NacosProblem.unknownUser("token expired!")) { try tokens.user(of: token, nowSeconds: end) }
    }

    @Test func foreignAndChangedTokensAreRefused() {
        let token = tokens.make(for: "nacos", nowSeconds: 100)
        let other = AccessTokens(key: Array(repeating: 8, count: 32)).make(for: "nacos", nowSeconds: 100)
        // {"alg":"none"} with the same claims and no signature.
        let parts = token.split(separator: ".")
        let unsigned = "eyJhbGciOiJub25lIn0.\(parts[1])."
        for bad in [other, unsigned, "", ".", "..", "a.b.c", String(token.dropLast()), "x" + token] {
            #expect(throws: NacosProblem.self) { try tokens.user(of: bad, nowSeconds: 101) }
        }
    }
}

@Suite struct AccountBookTests {
    private var book: AccountBook {
        get throws {
            var book = AccountBook()
            book.users = ["nacos": "h", "dev": "h", "none": "h"]
            book.roles = ["nacos": [AccountBook.administrator], "dev": ["shop-dev"]]
            book.permissions = [
                try Permission(role: "shop-dev", resource: "shop:*:*", action: "rw"),
                try Permission(role: "shop-dev", resource: ":*:*", action: "r"),
            ]
            return book
        }
    }

    @Test func rolesDecideByNamespace() throws {
        let book = try book
        #expect(book.allows("nacos", .write, .administration))
        #expect(book.allows("dev", .write, .namespace("shop")))
        #expect(book.allows("dev", .read, .namespace("default")))
        #expect(!book.allows("dev", .write, .namespace("default")))
        #expect(!book.allows("dev", .read, .namespace("other")))
        #expect(!book.allows("dev", .read, .administration))
        #expect(book.allows("none", .read, .anyUser))
        #expect(!book.allows("stranger", .read, .anyUser))
        #expect(AccountBook(book.tree) == book)
    }

    @Test(arguments: ["shop:group:*", "a:b:c:d", "shop:*:name"])
    func permissionsFinerThanNamespacesAreRefused(_ resource: String) {
        #expect(throws: NacosProblem.self) { try Permission(role: "r", resource: resource, action: "r") }
    }

    @Test func whatRequestsWant() {
        func wanted(_ method: String, _ path: String, _ query: String = "") -> (AccessAction, AccessScope)? {
            AccessRules.wanted(
                OpenAPIRequest(method: method, path: path, parameters: FormParameters(query), peer: "10.0.0.9"))
        }
        #expect(wanted("POST", "/nacos/v1/auth/login") == nil)
        #expect(wanted("GET", "/nacos/v3/admin/core/state/liveness") == nil)
        #expect(wanted("POST", "/nacos/v1/cs/configs", "tenant=shop")?.0 == .write)
        #expect(wanted("POST", "/nacos/v1/cs/configs", "tenant=shop")?.1 == .namespace("shop"))
        #expect(wanted("POST", "/nacos/v1/cs/configs/listener")?.0 == .read)
        #expect(wanted("DELETE", "/nacos/v1/cs/configs", "delType=ids&ids=1")?.1 == .administration)
        #expect(wanted("POST", "/nacos/v1/auth/users")?.1 == .administration)
        #expect(wanted("DELETE", "/nacos/v1/console/namespaces")?.1 == .administration)
        let batch: JSON = ["configListenContexts": [["tenant": "a"], ["tenant": ""]]]
        #expect(
            Set(AccessRules.wanted("ConfigBatchListenRequest", batch).1) == [.namespace("a"), .namespace("default")])
    }
}
