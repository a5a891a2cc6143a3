// Issues the tokens of service accounts, and tells whom a token stands for.

import Formats
import Objects
import Synchronization

/// The issuer of this cluster's service account tokens (upstream: pkg/serviceaccount).
///
/// A token is good while its signature, dates, issuer and audience are, and while its service account, and whatever
/// object it is bound to, are the ones it was issued for: that is asked anew each time.
package final class ServiceAccountTokens: Sendable {
    /// Upstream's default and least life of a token, and the seconds that only the volume of every pod asks for.
    package static let defaultSeconds: Int64 = 3600
    package static let leastSeconds: Int64 = 600
    package static let mostSeconds: Int64 = 1 << 32
    package static let podVolumeSeconds: Int64 = 3607
    /// How long a pod volume's token really lives, for programs that read it once; its `warnafter` says when they
    /// should have read it again.
    static let extendedSeconds: Int64 = 365 * 86_400
    /// Accepted tokens whose signature need not be looked at again.
    static let cachedTokens = 1024
    /// An object that is being deleted goes on for this long, for clocks that differ.
    static let leewaySeconds: Int64 = 60
    static let tokenBytes = 16_384

    package let issuer: String
    /// What tokens are for when nobody says; what this API server takes.
    package let audiences: [String]
    package let key: TokenKey
    private let verified = Mutex<[String: JSON]>([:])

    package init(key: TokenKey, issuer: String = "https://kubernetes.default.svc.cluster.local") {
        self.key = key
        self.issuer = issuer
        audiences = [issuer, "https://kubernetes.default.svc"]
    }

    // MARK: Issuing

    /// An object that a token lives and dies with.
    package struct Binding: Sendable, Hashable {
        package enum Kind: String, Sendable { case pod, secret, node }

        package var kind: Kind
        package var name: String
        package var uid: String

        package init(_ kind: Kind, _ object: Object) {
            self.kind = kind
            name = object.name
            uid = object.uid
        }
    }

    /// What a token is to say.
    package struct Order: Sendable {
        package var account: Object
        /// A pod's token carries its node as well.
        package var bindings: [Binding]
        package var audiences: [String]
        package var seconds: Int64
        /// A UUID, by which the token is known in logs.
        package var id: String

        package init(account: Object, bindings: [Binding], audiences: [String], seconds: Int64, id: String) {
            self.account = account
            self.bindings = bindings
            self.audiences = audiences
            self.seconds = seconds
            self.id = id
        }
    }

    package func issue(_ order: Order, now: Int64) throws(Problem) -> String {
        var own: JSON = [
            "namespace": .string(order.account.namespace),
            "serviceaccount": ["name": .string(order.account.name), "uid": .string(order.account.uid)],
        ]
        for binding in order.bindings {
            own[binding.kind.rawValue] = ["name": .string(binding.name), "uid": .string(binding.uid)]
        }
        var seconds = order.seconds
        if seconds == Self.podVolumeSeconds, order.bindings.contains(where: { $0.kind == .pod }),
            order.audiences.allSatisfy(audiences.contains)
        {
            own["warnafter"] = .integer(now + seconds)
            seconds = Self.extendedSeconds
        }
        let name = ServiceAccountName.user(namespace: order.account.namespace, name: order.account.name)
        return try key.sign([
            "aud": .array(order.audiences.map { .string($0) }), "exp": .integer(now + seconds), "iat": .integer(now),
            "iss": .string(issuer), "jti": .string(order.id), "kubernetes.io": own, "nbf": .integer(now),
            "sub": .string(name),
        ])
    }

    /// The token that a Secret of type `kubernetes.io/service-account-token` holds: it never expires, and ends with the
    /// Secret.
    package func issueLegacy(account: Object, secret: String) throws(Problem) -> String {
        let name = ServiceAccountName.user(namespace: account.namespace, name: account.name)
        return try key.sign([
            "iss": .string(LegacyClaims.issuer), "sub": .string(name),
            LegacyClaims.namespace: .string(account.namespace), LegacyClaims.secret: .string(secret),
            LegacyClaims.account: .string(account.name), LegacyClaims.uid: .string(account.uid),
        ])
    }

    // MARK: Checking

    /// Finds an object as it is stored now.
    package typealias Lookup = @Sendable (Resource, ObjectKey) -> Object?

    /// Whom a token stands for, and those of the wanted audiences that it is for; nil when this issuer did not make it.
    ///
    /// Throws `Unauthorized` for a token of this issuer that is not good any more, saying why.
    package func identity(
        of token: String, for wanted: [String]? = nil, now: Int64, lookup: Lookup
    ) throws(Problem) -> (identity: Identity, audiences: [String])? {
        guard let claims = claims(of: token) else { return nil }
        let wanted = wanted ?? audiences
        if claims["iss"]?.string == LegacyClaims.issuer {
            let identity = try legacyIdentity(claims, token, lookup)
            // Such a token names no audience; it is for the API server and nobody else.
            let fitting = wanted.filter(audiences.contains)
            guard !fitting.isEmpty else { throw Self.invalid("token audiences do not match") }
            return (identity, fitting)
        }
        guard claims["iss"]?.string == issuer else { return nil }
        let given = claims["aud"]?.strings ?? claims["aud"]?.string.map { [$0] } ?? []
        let fitting = wanted.filter(given.contains)
        guard !fitting.isEmpty else {
            throw Self.invalid(
                "token audiences \(RuleCoverage.quoted(given)) is invalid for the target audiences "
                    + RuleCoverage.quoted(wanted))
        }
        return (try identity(claims, now: now, lookup), fitting)
    }

    private func claims(of token: String) -> JSON? {
        guard token.utf8.count <= Self.tokenBytes else { return nil }
        if let known = verified.withLock({ $0[token] }) { return known }
        guard let claims = key.claims(of: token) else { return nil }
        verified.withLock { verified in
            if verified.count >= Self.cachedTokens { verified = [:] }
            verified[token] = claims
        }
        return claims
    }

    private func identity(_ claims: JSON, now: Int64, _ lookup: Lookup) throws(Problem) -> Identity {
        guard let end = claims["exp"]?.integer, Int64(end) > now - Self.leewaySeconds else {
            throw Self.invalid("service account token has expired")
        }
        guard let start = claims["nbf"]?.integer, Int64(start) <= now + Self.leewaySeconds else {
            throw Self.invalid("service account token is not valid yet")
        }
        let own = claims["kubernetes.io"] ?? .null
        let namespace = own["namespace"]?.string ?? ""
        let name = own["serviceaccount", "name"]?.string ?? ""
        let account = try account(namespace, name, uid: own["serviceaccount", "uid"]?.string, lookup, now: now)
        var extra: [String: [String]] = [:]
        if let id = claims["jti"]?.string { extra["authentication.kubernetes.io/credential-id"] = ["JTI=\(id)"] }
        for (kind, resource) in [(Binding.Kind.secret, Resource.secrets), (.pod, .pods), (.node, .nodes)] {
            guard let reference = own[kind.rawValue] else { continue }
            let bound = reference["name"]?.string ?? ""
            let uid = reference["uid"]?.string ?? ""
            let key = ObjectKey(namespace: kind == .node ? "" : namespace, name: bound)
            // The node of a pod is told, but the token does not end with it.
            if kind != .node || own["pod"] == nil {
                guard let object = lookup(resource, key), !Self.isGone(object, now: now) else {
                    throw Self.invalid("service account token has been invalidated")
                }
                guard object.uid == uid else {
                    throw Self.invalid("\(kind.rawValue) UID (\(object.uid)) does not match claim (\(uid))")
                }
            }
            if kind == .secret { continue }
            extra["authentication.kubernetes.io/\(kind.rawValue)-name"] = [bound]
            extra["authentication.kubernetes.io/\(kind.rawValue)-uid"] = [uid]
        }
        return Self.identity(of: account, extra: extra)
    }

    private func account(
        _ namespace: String, _ name: String, uid: String?, _ lookup: Lookup, now: Int64
    ) throws(Problem) -> Object {
        guard let account = lookup(.serviceAccounts, ObjectKey(namespace: namespace, name: name)) else {
            throw Self.invalid("serviceaccounts \"\(name)\" not found")
        }
        if Self.isGone(account, now: now) {
            throw Self.invalid("service account \(namespace)/\(name) has been deleted")
        }
        guard account.uid == uid else {
            throw Self.invalid("service account UID (\(account.uid)) does not match claim (\(uid ?? ""))")
        }
        return account
    }

    private func legacyIdentity(_ claims: JSON, _ token: String, _ lookup: Lookup) throws(Problem) -> Identity {
        let namespace = claims[LegacyClaims.namespace]?.string ?? ""
        let key = ObjectKey(namespace: namespace, name: claims[LegacyClaims.secret]?.string ?? "")
        guard let secret = lookup(.secrets, key), !secret.isTerminating,
            let kept = secret["data", "token"]?.string.flatMap(Base64.decode), kept == Array(token.utf8)
        else { throw Self.invalid("service account token has been invalidated") }
        let name = claims[LegacyClaims.account]?.string ?? ""
        return Self.identity(
            of: try account(namespace, name, uid: claims[LegacyClaims.uid]?.string, lookup, now: .max), extra: [:])
    }

    private static func identity(of account: Object, extra: [String: [String]]) -> Identity {
        Identity(
            name: ServiceAccountName.user(namespace: account.namespace, name: account.name),
            groups: ServiceAccountName.groups(namespace: account.namespace) + [Identity.authenticatedGroup],
            uid: account.uid, extra: extra)
    }

    private static func isGone(_ object: Object, now: Int64) -> Bool {
        guard let text = object.deletionTimestamp, let time = Timestamp(rfc3339: text) else { return false }
        return time.secondsSinceEpoch < now - leewaySeconds
    }

    private static func invalid(_ why: String) -> Problem { Problem(.unauthorized, why) }
}

/// The names of the claims in tokens that live in Secrets (upstream: pkg/serviceaccount/legacy.go).
private enum LegacyClaims {
    static let issuer = "kubernetes/serviceaccount"
    static let namespace = "kubernetes.io/serviceaccount/namespace"
    static let secret = "kubernetes.io/serviceaccount/secret.name"
    static let account = "kubernetes.io/serviceaccount/service-account.name"
    static let uid = "kubernetes.io/serviceaccount/service-account.uid"
}
