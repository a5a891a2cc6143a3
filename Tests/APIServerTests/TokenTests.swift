// Service account tokens: what they say, and when they are not good any more.

import Formats
import Objects
import Synchronization
import Testing

@testable import Access

@Suite struct TokenTests {
    private static let noon: Int64 = 1_790_000_000

    /// Objects by resource and name, as the store would have them.
    private final class World: Sendable {
        private let objects = Mutex<[String: Object]>([:])

        func put(
            _ resource: Resource, _ namespace: String, _ name: String, uid: String,
            _ change: (inout Object) -> Void = { _ in }
        ) {
            var object = Object(resource, namespace: namespace, name: name)
            object.tree["metadata", "uid"] = .string(uid)
            change(&object)
            objects.withLock { $0["\(resource.plural)/\(namespace)/\(name)"] = object }
        }

        func remove(_ resource: Resource, _ namespace: String, _ name: String) {
            objects.withLock { $0["\(resource.plural)/\(namespace)/\(name)"] = nil }
        }

        func get(_ resource: Resource, _ key: ObjectKey) -> Object? {
            objects.withLock { $0["\(resource.plural)/\(key.namespace)/\(key.name)"] }
        }
    }

    private let world = World()
    private let tokens: ServiceAccountTokens

    init() throws {
        tokens = ServiceAccountTokens(key: try TokenKey(pem: TokenKey.makePEM()))
        world.put(.serviceAccounts, "shop", "robot", uid: "a1")
        world.put(.pods, "shop", "pod", uid: "p1")
        world.put(.nodes, "", "node", uid: "n1")
    }

    private func account() throws -> Object {
        try #require(world.get(.serviceAccounts, ObjectKey(namespace: "shop", name: "robot")))
    }

    private func issue(
        _ bindings: [ServiceAccountTokens.Binding] = [], audiences: [String]? = nil, seconds: Int64 = 3600
    ) throws -> String {
        try tokens.issue(
            .init(
                account: account(), bindings: bindings, audiences: audiences ?? [tokens.issuer], seconds: seconds,
                id: "j"),
            now: Self.noon)
    }

    private func read(_ token: String, for audiences: [String]? = nil, after seconds: Int64 = 0) throws(Problem)
        -> Identity?
    {
        try tokens.identity(of: token, for: audiences, now: Self.noon + seconds, lookup: { world.get($0, $1) })?
            .identity
    }

    private func refusal(_ token: String, for audiences: [String]? = nil, after seconds: Int64 = 0) -> String {
        do throws(Problem) {
            return "\(String(describing: try read(token, for: audiences, after: seconds)))"
        } catch {
            return error.message
        }
    }

    @Test func aTokenSaysWhoseItIs() throws {
        let pod = try #require(world.get(.pods, ObjectKey(namespace: "shop", name: "pod")))
        let node = try #require(world.get(.nodes, ObjectKey(name: "node")))
        let token = try issue([.init(.pod, pod), .init(.node, node)])
        let identity = try #require(try read(token))
        #expect(identity.name == "system:serviceaccount:shop:robot" && identity.uid == "a1")
        #expect(identity.groups == ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"])
        #expect(
            identity.extra == [
                "authentication.kubernetes.io/credential-id": ["JTI=j"],
                "authentication.kubernetes.io/pod-name": ["pod"], "authentication.kubernetes.io/pod-uid": ["p1"],
                "authentication.kubernetes.io/node-name": ["node"], "authentication.kubernetes.io/node-uid": ["n1"],
            ])
    }

    @Test func itEndsWithItsTimeItsAccountAndItsPod() throws {
        let pod = try #require(world.get(.pods, ObjectKey(namespace: "shop", name: "pod")))
        let token = try issue([.init(.pod, pod)])
        #expect(try read(token, after: 3600 + 30) != nil)
        #expect(refusal(token, after: 3600 + 61) == "service account token has expired")
        #expect(refusal(token, after: -61) == "service account token is not valid yet")
        world.put(.pods, "shop", "pod", uid: "p2")
        #expect(refusal(token) == "pod UID (p2) does not match claim (p1)")
        world.remove(.pods, "shop", "pod")
        #expect(refusal(token) == "service account token has been invalidated")
        let free = try issue()
        world.put(.serviceAccounts, "shop", "robot", uid: "a2")
        #expect(refusal(free) == "service account UID (a2) does not match claim (a1)")
        world.remove(.serviceAccounts, "shop", "robot")
        #expect(refusal(free) == "serviceaccounts \"robot\" not found")
    }

    @Test func itIsForItsAudience() throws {
        let vault = try issue(audiences: ["vault"])
        #expect(refusal(vault).hasPrefix("token audiences [\"vault\"] is invalid for the target audiences"))
        #expect(try read(vault, for: ["vault", "other"]) != nil)
        #expect(try read(issue(), for: ["https://kubernetes.default.svc.cluster.local"]) != nil)
    }

    @Test func aPodsOwnTokenLivesOnForProgramsThatReadItOnce() throws {
        let pod = try #require(world.get(.pods, ObjectKey(namespace: "shop", name: "pod")))
        let token = try issue([.init(.pod, pod)], seconds: 3607)
        #expect(try read(token, after: 30 * 86_400) != nil)
        let claims = try #require(tokens.key.claims(of: token))
        #expect(claims["kubernetes.io", "warnafter"] == .integer(Self.noon + 3607))
        #expect(refusal(try issue(seconds: 3607), after: 2 * 86_400) == "service account token has expired")
    }

    @Test func foreignAndForgedTokensAreNobodys() throws {
        let other = ServiceAccountTokens(key: try TokenKey(pem: TokenKey.makePEM()))
        let foreign = try other.issue(
            .init(account: account(), bindings: [], audiences: [tokens.issuer], seconds: 3600, id: "j"), now: Self.noon)
        #expect(try read(foreign) == nil)
        var parts = try issue().split(separator: ".").map(String.init)
        let claims = try #require(Base64URL.decode(parts[1]).flatMap { try? JSON(parsing: $0) })
        var forged = claims
        forged["sub"] = "system:serviceaccount:shop:king"
        parts[1] = Base64URL.encode(forged.bytes)
        #expect(try read(parts.joined(separator: ".")) == nil)
        let unsigned = Base64URL.encode(Array("{\"alg\":\"none\"}".utf8)) + "." + Base64URL.encode(claims.bytes) + "."
        for text in [unsigned, "", ".", "..", "a.b.c", "é.é.é", String(repeating: "a", count: 20_000)] {
            #expect(try read(text) == nil)
        }
    }

    @Test func brokenTokensNeverStandForAnybodyElse() throws {
        let token = Array(try issue().utf8)
        let whole = try #require(tokens.key.claims(of: String(decoding: token, as: UTF8.self)))
        var state: UInt64 = 7
        func random(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        for _ in 0..<500 {
            var bytes = token
            for _ in 0...random(3) {
                switch random(3) {
                case 0: bytes[random(bytes.count)] = UInt8(random(256))
                case 1: bytes.remove(at: random(bytes.count))
                default: bytes.insert(UInt8(random(128)), at: random(bytes.count))
                }
            }
            // Bits that base 64 does not use may differ; what is said may not.
            let claims = tokens.key.claims(of: String(decoding: bytes, as: UTF8.self))
            #expect(claims == nil || claims == whole)
        }
    }

    @Test func aSecretsTokenEndsWithTheSecret() throws {
        let token = try tokens.issueLegacy(account: account(), secret: "key")
        #expect(refusal(token) == "service account token has been invalidated")
        world.put(.secrets, "shop", "key", uid: "s1") {
            $0["data"] = ["token": .string(Base64.encode(Array(token.utf8)))]
        }
        #expect(try read(token)?.name == "system:serviceaccount:shop:robot")
        #expect(refusal(token, for: ["vault"]) == "token audiences do not match")
        world.put(.secrets, "shop", "key", uid: "s1") { $0["data"] = ["token": "eA=="] }
        #expect(refusal(token) == "service account token has been invalidated")
    }

    @Test func theKeyIsPublishedForOthers() throws {
        let key = try #require(tokens.keysDocument["keys"]?.array?.first)
        #expect(key["kty"] == "EC" && key["crv"] == "P-256" && key["alg"] == "ES256")
        #expect(
            Base64URL.decode(key["x"]?.string ?? "")?.count == 32
                && Base64URL.decode(key["y"]?.string ?? "")?.count == 32)
        let header = try #require(
            Base64URL.decode(try issue().split(separator: ".")[0]).flatMap { try? JSON(parsing: $0) })
        #expect(header["kid"] == key["kid"])
        #expect(tokens.configurationDocument["issuer"] == "https://kubernetes.default.svc.cluster.local")
    }
}
