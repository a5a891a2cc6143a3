// Acting as somebody else: what has to be allowed, and who one is then
// (upstream: apiserver/pkg/endpoints/filters/impersonation).

import Objects

/// What the `Impersonate-…` headers of a request ask for.
package struct Impersonation: Sendable, Hashable {
    package static let authenticationGroup = "authentication.k8s.io"

    package var user: String
    package var uid: String
    package var groups: [String]
    package var extra: [String: [String]]

    /// Nil when nothing is asked. Throws when groups or others are asked without a user.
    package init?(user: String?, uid: String?, groups: [String], extra: [String: [String]]) throws(Problem) {
        let asks = !groups.isEmpty || !extra.isEmpty || !(uid ?? "").isEmpty
        guard let user, !user.isEmpty else {
            if asks { throw .badRequest("requested groups, uid or extra without impersonating a user") }
            return nil
        }
        self.user = user
        self.uid = uid ?? ""
        self.groups = groups
        self.extra = extra
    }

    /// Each of these must be allowed to whoever asks.
    package var requests: [AccessRequest] {
        var targets: [AccessRequest.Target] = []
        if let account = ServiceAccountName.account(of: user) {
            targets.append(.init(plural: "serviceaccounts", namespace: account.namespace, name: account.name))
        } else {
            targets.append(.init(plural: "users", name: user))
        }
        for group in groups { targets.append(.init(plural: "groups", name: group)) }
        for key in extra.keys.sorted() {
            for value in extra[key] ?? [] {
                targets.append(
                    .init(group: Self.authenticationGroup, plural: "userextras", subresource: key, name: value))
            }
        }
        if !uid.isEmpty { targets.append(.init(group: Self.authenticationGroup, plural: "uids", name: uid)) }
        return targets.map { AccessRequest(verb: "impersonate", target: $0) }
    }

    /// Who the request is made by then. A service account without groups gets its own; everybody is authenticated,
    /// except who acts as anonymous.
    package var identity: Identity {
        var groups = groups
        if groups.isEmpty, let account = ServiceAccountName.account(of: user) {
            groups = ServiceAccountName.groups(namespace: account.namespace)
        }
        let state = user == Identity.anonymousName ? Identity.unauthenticatedGroup : Identity.authenticatedGroup
        if !groups.contains(Identity.authenticatedGroup), !groups.contains(Identity.unauthenticatedGroup) {
            groups.append(state)
        }
        return Identity(name: user, groups: groups, uid: uid, extra: extra)
    }
}
