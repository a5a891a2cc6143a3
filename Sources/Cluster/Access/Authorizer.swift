// Who may do what: members of system:masters everything, everybody else what tells whether the server lives.

import Objects

/// What a request wants, as `authorization.k8s.io` describes it.
package struct AccessRequest: Sendable, Hashable {
    /// What a request for an object or a collection names.
    package struct Target: Sendable, Hashable {
        package var group: String
        package var plural: String
        package var subresource: String
        package var namespace: String
        package var name: String

        package init(
            group: String = "", plural: String, subresource: String = "", namespace: String = "", name: String = ""
        ) {
            self.group = group
            self.plural = plural
            self.subresource = subresource
            self.namespace = namespace
            self.name = name
        }
    }

    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    package var verb: String
    package var path: String
    /// Nil for paths that are no resource, like `/version`.
    package var target: Target?

    package init(verb: String, path: String, target: Target? = nil) {
        self.verb = verb
        self.path = path
        self.target = target
    }
}

/// Decides; knows no roles yet.
package struct Authorizer: Sendable {
    /// Open to everybody, with everything below them, as upstream's `system:public-info-viewer` does.
    package static let publicPaths = ["/version", "/livez", "/readyz", "/healthz"]

    package init() {}

    /// Throws `Forbidden`, in the words of Kubernetes.
    package func check(_ identity: Identity, _ request: AccessRequest) throws(Problem) {
        if identity.isMaster { return }
        let isReading = request.verb == "get" || request.verb == "head"
        if request.target == nil, isReading, Self.isPublic(request.path) { return }
        throw Self.forbidden(identity, request)
    }

    private static func isPublic(_ path: String) -> Bool {
        publicPaths.contains { path == $0 || path.hasPrefix($0 + "/") }
    }

    private static func forbidden(_ identity: Identity, _ request: AccessRequest) -> Problem {
        let user = "User \"\(identity.name)\" cannot \(request.verb)"
        guard let target = request.target else {
            return Problem(.forbidden, "forbidden: \(user) path \"\(request.path)\"")
        }
        let resource = target.subresource.isEmpty ? target.plural : "\(target.plural)/\(target.subresource)"
        let qualified = target.group.isEmpty ? target.plural : "\(target.plural).\(target.group)"
        let object = target.name.isEmpty ? qualified : "\(qualified) \"\(target.name)\""
        let place = target.namespace.isEmpty ? "at the cluster scope" : "in the namespace \"\(target.namespace)\""
        var problem = Problem(
            .forbidden,
            "\(object) is forbidden: \(user) resource \"\(resource)\" in API group \"\(target.group)\" \(place)")
        problem.group = target.group
        problem.kind = target.plural
        problem.name = target.name
        return problem
    }
}
