// Who makes a request.

import Formats

/// A user as the API server knows it, as in `authentication.k8s.io` UserInfo.
package struct Identity: Sendable, Hashable {
    package static let mastersGroup = "system:masters"
    package static let authenticatedGroup = "system:authenticated"
    package static let unauthenticatedGroup = "system:unauthenticated"
    package static let anonymousName = "system:anonymous"

    package let name: String
    package let groups: [String]
    /// Empty when nobody gave one; certificates and the admin token carry none.
    package let uid: String
    /// What else the credential says of the user, by keys like `authentication.kubernetes.io/pod-name`.
    package let extra: [String: [String]]

    package init(name: String, groups: [String], uid: String = "", extra: [String: [String]] = [:]) {
        self.name = name
        self.groups = groups
        self.uid = uid
        self.extra = extra
    }

    /// Whoever shows neither certificate nor token.
    package static let anonymous = Identity(name: anonymousName, groups: [unauthenticatedGroup])

    /// A part of this program that calls the server without a socket: `system:mangrove:scheduler`.
    package static func component(_ name: String) -> Identity {
        Identity(name: "system:mangrove:\(name)", groups: [mastersGroup, authenticatedGroup])
    }

    package var isMaster: Bool { groups.contains(Self.mastersGroup) }

    /// The `UserInfo` that reviews answer with; what is empty is left out.
    package var userInfo: JSON {
        var info: JSON = [:]
        if !name.isEmpty { info["username"] = .string(name) }
        if !uid.isEmpty { info["uid"] = .string(uid) }
        if !groups.isEmpty { info["groups"] = .array(groups.map { .string($0) }) }
        if !extra.isEmpty {
            info["extra"] = .object(
                JSONObject(extra.keys.sorted().map { ($0, .array((extra[$0] ?? []).map { .string($0) })) }))
        }
        return info
    }
}

/// The names under which service accounts make requests (upstream: apiserver/pkg/authentication/serviceaccount).
package enum ServiceAccountName {
    package static let prefix = "system:serviceaccount:"
    package static let allGroup = "system:serviceaccounts"

    package static func user(namespace: String, name: String) -> String { "\(prefix)\(namespace):\(name)" }

    /// The groups of every account of a namespace, without `system:authenticated`.
    package static func groups(namespace: String) -> [String] { [allGroup, "\(allGroup):\(namespace)"] }

    /// The account that a user name stands for; nil for any other user.
    package static func account(of user: String) -> (namespace: String, name: String)? {
        guard user.hasPrefix(prefix) else { return nil }
        let parts = user.dropFirst(prefix.count).split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
        return (String(parts[0]), String(parts[1]))
    }
}
