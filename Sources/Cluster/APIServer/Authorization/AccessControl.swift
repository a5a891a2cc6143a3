// Who calls and what he may do, for the API server: the authorizer fed from the store, and the authenticator.

import Access
import Formats
import HTTPTypes
import Logging
import Objects
import Storage

/// Authentication and authorization of one server. Decisions follow a role or binding from the moment that the write of
/// it was acknowledged, because the store tells the authorizer of a commit before it answers the writer.
final class AccessControl: Sendable {
    let authorizer = Authorizer()
    /// Nil in servers that are only called from within the program; then no token is issued either.
    let authenticator: Authenticator?

    var tokens: ServiceAccountTokens? { authenticator?.tokens }

    /// Reads every role and binding and follows what is written from now on.
    init(store: Store, authenticator: Authenticator?, logger: Logger) throws(Problem) {
        self.authenticator = authenticator
        for kind in RoleKind.allCases {
            for record in try store.page(prefix: Self.prefix(kind)).records {
                Self.take(kind, record, authorizer, logger)
            }
        }
        let group = ObjectRecords.root + RoleKind.role.resource.group + "/"
        store.onCommit { [authorizer] events in
            for event in events where event.key.hasPrefix(group) {
                guard let kind = RoleKind.allCases.first(where: { event.key.hasPrefix(Self.prefix($0)) }) else {
                    continue
                }
                switch event.kind {
                case .put: Self.take(kind, event.record, authorizer, logger)
                case .delete: authorizer.removed(kind, Self.key(of: event.key, kind))
                }
            }
        }
    }

    private static func prefix(_ kind: RoleKind) -> String { ObjectRecords.prefix(kind.resource, namespace: nil) }

    /// A role that cannot be read grants nothing.
    private static func take(_ kind: RoleKind, _ record: Record, _ authorizer: Authorizer, _ logger: Logger) {
        do {
            authorizer.stored(kind, Object(try JSON(parsing: record.bytes)))
        } catch {
            logger.error("a stored role cannot be read", metadata: ["key": "\(record.key)", "error": "\(error)"])
            authorizer.removed(kind, key(of: record.key, kind))
        }
    }

    private static func key(of key: String, _ kind: RoleKind) -> ObjectKey {
        let rest = key.dropFirst(prefix(kind).count)
        guard kind.resource.isNamespaced, let slash = rest.firstIndex(of: "/") else {
            return ObjectKey(name: String(rest))
        }
        return ObjectKey(namespace: String(rest[..<slash]), name: String(rest[rest.index(after: slash)...]))
    }
}

/// Who makes the request that the current task answers; nil for this server's own doing at start.
///
/// It goes with the task, as upstream's goes with the context, because the rules of a few kinds ask for it far below
/// the place where requests arrive.
enum Caller {
    @TaskLocal static var current: Identity?
}

extension KubernetesAPI {
    /// The identity of whoever shows a client certificate (DER, verified by the TLS layer) or a bearer token.
    func identify(
        by authenticator: Authenticator, certificate: [UInt8]?, authorization: String?
    ) throws(Problem) -> Identity {
        try authenticator.identify(
            certificate: certificate, authorization: authorization, now: environment.now().secondsSinceEpoch,
            lookup: lookup)
    }

    /// Finds objects as they are stored now; one that cannot be read counts as not there.
    var lookup: ServiceAccountTokens.Lookup {
        let records = records
        return { resource, key in
            (try? records.get(resource, namespace: key.namespace, name: key.name))?.object
        }
    }

    /// Whom a request is made as: the identity itself, or whom its headers say if it may act as that one.
    func caller(_ identity: Identity, _ fields: HTTPFields) throws(Problem) -> Identity {
        guard let impersonation = try Impersonation(fields) else { return identity }
        for request in impersonation.requests { try access.authorizer.check(identity, request) }
        return impersonation.identity
    }
}

extension Impersonation {
    static let extraPrefix = "impersonate-extra-"

    /// Reads `Impersonate-User`, `-Uid`, `-Group` and `-Extra-…`, whose names are percent-decoded and small.
    init?(_ fields: HTTPFields) throws(Problem) {
        var user: String?
        var uid: String?
        var groups: [String] = []
        var extra: [String: [String]] = [:]
        for field in fields {
            let name = field.name.canonicalName
            guard name.hasPrefix("impersonate-") else { continue }
            switch name {
            case "impersonate-user": user = user ?? field.value
            case "impersonate-uid": uid = uid ?? field.value
            case "impersonate-group": groups.append(field.value)
            case _ where name.hasPrefix(Self.extraPrefix):
                let key = Query.decode(name.dropFirst(Self.extraPrefix.count), plusIsSpace: false).lowercased()
                extra[key, default: []].append(field.value)
            default: throw .badRequest("unknown impersonation header \(field.name.rawName)")
            }
        }
        try self.init(user: user, uid: uid, groups: groups, extra: extra)
    }
}

extension AccessRequest {
    /// What a request wants, as the authorizer asks it (upstream: apiserver/pkg/endpoints/request/requestinfo.go).
    init(_ request: HTTPRequest, _ place: RequestTarget) {
        let query = place.query
        let plainPath = String(place.path)
        guard case .resource(let resource) = place.route else {
            self.init(verb: request.method.rawValue.lowercased(), path: plainPath)
            return
        }
        let isWhole = resource.name == nil
        let verb =
            switch request.method {
            case .get, .head: query.flag("watch") ? "watch" : isWhole ? "list" : "get"
            case .post: "create"
            case .put: "update"
            case .patch: "patch"
            case .delete: isWhole ? "deletecollection" : "delete"
            default: request.method.rawValue.lowercased()
            }
        var target = Target(
            group: resource.group, plural: resource.plural, subresource: resource.subresource ?? "",
            namespace: resource.namespace ?? "", name: resource.name ?? "")
        // A namespace is in itself, so that a role within it can let somebody see it.
        if target.group.isEmpty, target.plural == "namespaces" { target.namespace = target.name }
        // A list of one object by its name may be allowed where lists are not.
        if isWhole, verb != "create", let selector = query["fieldSelector"] {
            target.name = Self.name(selectedBy: selector) ?? ""
        }
        self.init(verb: verb, path: plainPath, target: target)
    }

    /// Everything that has to be allowed for a request: itself, and for a WebSocket into a pod, which begins as a GET,
    /// also `create` (upstream: AuthorizePodWebsocketUpgradeCreatePermission).
    static func all(_ request: HTTPRequest, _ place: RequestTarget) -> [AccessRequest] {
        let wish = AccessRequest(request, place)
        guard let target = wish.target, target.group.isEmpty, target.plural == "pods", wish.verb == "get",
            ["exec", "attach", "portforward"].contains(target.subresource)
        else { return [wish] }
        var creation = wish
        creation.verb = "create"
        return [wish, creation]
    }

    private static func name(selectedBy selector: String) -> String? {
        for term in selector.split(separator: ",") {
            let sides = term.replacing("==", with: "=").split(separator: "=", omittingEmptySubsequences: false)
            if sides.count == 2, sides[0] == "metadata.name", !sides[1].isEmpty { return String(sides[1]) }
        }
        return nil
    }
}
