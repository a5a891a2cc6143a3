// What a request wants, as an authorizer is asked.

import Objects

/// A request's verb and what it is about, as `authorization.k8s.io` describes it.
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

        /// `pods`, `pods/log`: the way that rules spell it.
        package var resource: String { subresource.isEmpty ? plural : "\(plural)/\(subresource)" }
    }

    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or a verb of its own kind
    /// like `bind`, `escalate`, `impersonate`, `approve`, `sign`; of a path the HTTP method in small letters.
    package var verb: String
    package var path: String
    /// Nil for paths that are no resource, like `/version`.
    package var target: Target?

    package init(verb: String, path: String = "", target: Target? = nil) {
        self.verb = verb
        self.path = path
        self.target = target
    }

    /// The refusal, word for word upstream's (apiserver, endpoints/handlers/responsewriters/errors.go).
    package func refusal(of identity: Identity, reason: String = "") -> Problem {
        let user = "User \"\(identity.name)\" cannot \(verb)"
        let why = reason.isEmpty ? "" : ": \(reason)"
        guard let target else { return Problem(.forbidden, "forbidden: \(user) path \"\(path)\"\(why)") }
        let qualified = target.group.isEmpty ? target.plural : "\(target.plural).\(target.group)"
        let object = target.name.isEmpty ? qualified : "\(qualified) \"\(target.name)\""
        let place = target.namespace.isEmpty ? "at the cluster scope" : "in the namespace \"\(target.namespace)\""
        var problem = Problem(
            .forbidden,
            "\(object) is forbidden: \(user) resource \"\(target.resource)\" in API group \"\(target.group)\" "
                + place + why)
        problem.group = target.group
        problem.kind = target.plural
        problem.name = target.name
        return problem
    }
}
