// `serviceaccounts/token`: tokens on request (upstream: pkg/registry/core/serviceaccount/storage/token.go).

import Access
import Formats
import HTTPTypes
import Objects

extension KubernetesAPI {
    static let tokenRequest = Resource(
        group: "authentication.k8s.io", version: "v1", kind: "TokenRequest", plural: "tokenrequests")

    func requestToken(_ call: APICall) async throws -> APIAnswer {
        guard call.request.method == .post else { throw call.methodNotAllowed }
        guard let tokens = access.tokens else {
            throw Problem(.notImplemented, "this server issues no service account tokens")
        }
        let isDryRun = try call.isDryRun()
        let decoded = try call.decodedObject(kind: (Self.tokenRequest.apiVersion, Self.tokenRequest.kind))
        var request = decoded.object
        let (account, _) = try existing(call)
        for (own, given) in [(account.name, request.name), (account.namespace, request.namespace)]
        where !given.isEmpty && given != own {
            throw Problem.badRequest("must match the service account name if specified: \(given) is not \(own)")
        }
        request.name = account.name
        request.namespace = account.namespace
        let seconds = Int64(request["spec", "expirationSeconds"]?.integer ?? Int(ServiceAccountTokens.defaultSeconds))
        try Self.check(seconds)
        let bindings = try bindings(of: request["spec", "boundObjectRef"], account)
        var audiences = request["spec", "audiences"]?.strings ?? []
        if audiences.isEmpty { audiences = [tokens.issuer] }
        request.tree.fill("spec", [:])
        request["spec", "audiences"] = .array(audiences.map { .string($0) })
        request["spec", "expirationSeconds"] = .integer(seconds)
        let now = environment.now()
        request.tree["metadata", "creationTimestamp"] = .string(now.rfc3339)
        let token = try tokens.issue(
            .init(
                account: account, bindings: bindings, audiences: audiences,
                seconds: seconds, id: environment.makeUID()),
            now: now.secondsSinceEpoch)
        let end = Timestamp(secondsSinceEpoch: now.secondsSinceEpoch + seconds, nanoseconds: 0)
        // A dry run shows that it would work; what it shows must not work.
        request.status = [
            "token": .string(isDryRun ? "" : token), "expirationTimestamp": .string(end.rfc3339),
        ]
        let presentation = try Negotiation.presentation(accept: call.accept, query: call.query, hasProtobuf: true)
        return .rendered(request.tree, presentation, code: 201, warnings: decoded.warnings)
    }

    /// Upstream: pkg/apis/authentication/validation.
    private static func check(_ seconds: Int64) throws(Problem) {
        let path = "spec.expirationSeconds"
        if seconds < ServiceAccountTokens.leastSeconds {
            throw .invalid(
                tokenRequest, "",
                [.invalid(path, .integer(seconds), "may not specify a duration less than 10 minutes")])
        }
        if seconds > ServiceAccountTokens.mostSeconds {
            throw .invalid(
                tokenRequest, "",
                [.invalid(path, .integer(seconds), "may not specify a duration larger than 2^32 seconds")])
        }
    }

    /// The object that the token is to end with, as it is now; of a pod its node too.
    private func bindings(of reference: JSON?, _ account: Object) throws -> [ServiceAccountTokens.Binding] {
        guard let reference else { return [] }
        let name = reference["name"]?.string ?? ""
        let kind = reference["kind"]?.string ?? ""
        let version = reference["apiVersion"]?.string ?? ""
        func found(_ resource: Resource, _ namespace: String) throws -> Object {
            guard let (object, _) = try records.get(resource, namespace: namespace, name: name) else {
                throw Problem.notFound(resource, name)
            }
            let uid = reference["uid"]?.string ?? ""
            guard uid.isEmpty || uid == object.uid else {
                let bound = Resource(group: "", version: "v1", kind: kind, plural: kind)
                throw Problem.conflict(
                    bound, name,
                    "the UID in the bound object reference (\(uid)) does not match the UID in record. The object might "
                        + "have been deleted and then recreated")
            }
            return object
        }
        switch (version, kind) {
        case ("v1", "Pod"):
            let pod = try found(.pods, account.namespace)
            let runningAs = pod["spec", "serviceAccountName"]?.string ?? ""
            guard runningAs == account.name else {
                throw Problem.badRequest(
                    "cannot bind token for serviceaccount \"\(account.name)\" to pod running with different "
                        + "serviceaccount name.")
            }
            let node = pod["spec", "nodeName"]?.string.flatMap {
                try? records.get(.nodes, namespace: "", name: $0)?.object
            }
            return [.init(.pod, pod)] + (node.map { [.init(.node, $0)] } ?? [])
        case ("v1", "Secret"): return [.init(.secret, try found(.secrets, account.namespace))]
        case ("v1", "Node"): return [.init(.node, try found(.nodes, ""))]
        default:
            let group = version.contains("/") ? version : "/" + version
            throw Problem.badRequest("cannot bind token to object of type \(group), Kind=\(kind)")
        }
    }
}
