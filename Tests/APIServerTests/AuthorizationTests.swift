// Access as clients meet it: refusals, roles that work at once, escalation, impersonation, reviews.

import Access
import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct AuthorizationTests {
    private let jane = GuardedServer.jane

    @Test func rolesWorkFromTheMomentOfTheirWrite() async throws {
        let server = try await GuardedServer()
        let pods = "/api/v1/namespaces/default/pods"
        let refused = try await server.get(pods, as: jane)
        #expect(refused.code == 403)
        #expect(
            refused.message
                == "pods is forbidden: User \"jane\" cannot list resource \"pods\" in API group \"\" in the namespace "
                + "\"default\"")
        #expect(
            try await server.give(RoleSample.role("reader", in: "default", RoleSample.rule("list", "pods"))).code == 201
        )
        let binding = RoleSample.binding("b", in: "default", to: "Role/reader", "User/jane")
        #expect(try await server.give(binding).code == 201)
        #expect(try await server.get(pods, as: jane).code == 200)
        let path = "\(GuardedServer.roles)/namespaces/default/rolebindings/b"
        #expect(try await server.send(.delete, path).code == 200)
        #expect(try await server.get(pods, as: jane).code == 403)
    }

    @Test func rolesOutliveARestart() async throws {
        let server = try await GuardedServer()
        _ = try await server.give(RoleSample.role("reader", RoleSample.rule("list", "pods")))
        _ = try await server.give(RoleSample.binding("b", to: "ClusterRole/reader", "Group/dev"))
        let again = try KubernetesAPI(
            store: server.store, hub: server.hub, nodeAccess: SpeakingNode(), logger: .init(label: "test"))
        let wish = AccessRequest(verb: "list", target: .init(plural: "pods"))
        #expect(again.access.authorizer.decide(jane, wish).isAllowed)
    }

    @Test func aNamespaceIsWithinItselfAndAListOfOneHasItsName() async throws {
        let server = try await GuardedServer()
        _ = try await server.give(
            RoleSample.role(
                "one", in: "default", RoleSample.rule("get", "namespaces"),
                RoleSample.rule("list", "configmaps", names: ["a"])))
        _ = try await server.give(RoleSample.binding("b", in: "default", to: "Role/one", "User/jane"))
        #expect(try await server.get("/api/v1/namespaces/default", as: jane).code == 200)
        let other = try await server.get("/api/v1/namespaces/kube-system", as: jane)
        #expect(other.message.hasSuffix("in API group \"\" in the namespace \"kube-system\""), "\(other.message)")
        let maps = "/api/v1/namespaces/default/configmaps"
        #expect(try await server.get(maps, as: jane).code == 403)
        #expect(try await server.get(maps + "?fieldSelector=metadata.name%3Da", as: jane).code == 200)
        #expect(try await server.get(maps + "?fieldSelector=metadata.name%3Db", as: jane).code == 403)
    }

    @Test func nobodyHandsOutWhatHeHasNotGot() async throws {
        let server = try await GuardedServer()
        _ = try await server.give(
            RoleSample.role(
                "clerk", RoleSample.rule("get", "pods"),
                RoleSample.rule("create,update,patch", "roles,rolebindings", group: "rbac.authorization.k8s.io")))
        _ = try await server.give(RoleSample.binding("b", to: "ClusterRole/clerk", "User/jane"))
        let own = RoleSample.role("own", in: "default", RoleSample.rule("get", "pods"))
        #expect(try await server.give(own, as: jane).code == 201)
        let more = RoleSample.role("more", in: "default", RoleSample.rule("get,delete", "pods"))
        let refused = try await server.give(more, as: jane)
        #expect(refused.code == 403)
        #expect(
            refused.message
                == "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"jane\" (groups=[\"dev\" "
                + "\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n"
                + "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}")
        let path = "\(GuardedServer.roles)/namespaces/default/roles/own"
        let patched = try await server.send(
            .patch, path, ["rules": more["rules"] ?? []], type: "application/merge-patch+json", as: jane)
        #expect(patched.code == 403)
        let binding = RoleSample.binding("up", in: "default", to: "ClusterRole/cluster-admin", "User/jane")
        #expect(
            try await server.give(binding, as: jane).message.contains(
                "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}"))
        let vain = RoleSample.binding("vain", in: "default", to: "Role/none", "User/jane")
        #expect(try await server.give(vain, as: jane).code == 404)
        #expect(
            try await server.give(RoleSample.binding("fine", in: "default", to: "Role/own", "User/bob"), as: jane).code
                == 201)
        // The verbs bind and escalate let him.
        _ = try await server.give(
            RoleSample.role(
                "trusted", RoleSample.rule("escalate", "roles", group: "rbac.authorization.k8s.io"),
                RoleSample.rule("bind", "clusterroles", group: "rbac.authorization.k8s.io", names: ["cluster-admin"])))
        _ = try await server.give(RoleSample.binding("t", to: "ClusterRole/trusted", "User/jane"))
        #expect(try await server.give(more, as: jane).code == 201)
        #expect(try await server.give(binding, as: jane).code == 201)
    }

    @Test func rolesAndBindingsAreValidated() async throws {
        let server = try await GuardedServer()
        let empty = try await server.give(RoleSample.role("r", in: "default", ["verbs": ["get"]]))
        #expect(
            empty.message
                == "Role.rbac.authorization.k8s.io \"r\" is invalid: [rules[0].apiGroups: Required value: resource rules "
                + "must supply at least one api group, rules[0].resources: Required value: resource rules must supply at "
                + "least one resource]")
        let url = try await server.give(
            RoleSample.role("r", in: "default", ["verbs": ["get"], "nonResourceURLs": ["/x"]]))
        #expect(url.message.contains("namespaced rules cannot apply to non-resource URLs"))
        var binding = RoleSample.binding("b", to: "ClusterRole/view", "User/jane")
        binding["subjects"] = [["kind": "ServiceAccount", "name": "x"], ["kind": "Robot", "name": "y"]]
        let wrong = try await server.give(binding)
        #expect(wrong.message.contains("subjects[0].namespace: Required value"))
        #expect(wrong.message.contains("subjects[1].kind: Unsupported value: \"Robot\""))
        _ = try await server.give(RoleSample.binding("b", to: "ClusterRole/view", "User/jane"))
        let changed = try await server.send(
            .patch, "\(GuardedServer.roles)/clusterrolebindings/b", ["roleRef": ["name": "edit"]],
            type: "application/merge-patch+json")
        #expect(changed.code == 422 && changed.message.contains("cannot change roleRef"), "\(changed.message)")
    }

    @Test func actingAsSomebodyElseHasToBeAllowed() async throws {
        let server = try await GuardedServer()
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        let asBob = [("Impersonate-User", "bob"), ("Impersonate-Group", "ops"), ("Impersonate-Extra-Scopes%2Fx", "a")]
        let answer = try await server.send(.post, path, [:], fields: asBob)
        #expect(answer.code == 201)
        #expect(
            answer["status", "userInfo"] == [
                "username": "bob", "groups": ["ops", "system:authenticated"], "extra": ["scopes/x": ["a"]],
            ])
        let refused = try await server.send(.post, path, [:], as: jane, fields: asBob)
        #expect(
            refused.message
                == "users \"bob\" is forbidden: User \"jane\" cannot impersonate resource \"users\" in API group \"\" at the "
                + "cluster scope")
        _ = try await server.give(
            RoleSample.role("actor", RoleSample.rule("impersonate", "serviceaccounts", names: ["default"])))
        _ = try await server.give(RoleSample.binding("b", to: "ClusterRole/actor", "User/jane"))
        let account = [("Impersonate-User", "system:serviceaccount:default:default")]
        let acting = try await server.send(.post, path, [:], as: jane, fields: account)
        #expect(
            acting["status", "userInfo", "groups"] == [
                "system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated",
            ])
        #expect(try await server.send(.post, path, [:], fields: [("Impersonate-Group", "ops")]).code == 400)
    }

    @Test func reviewsAnswerWhatWouldBeDecided() async throws {
        let server = try await GuardedServer()
        _ = try await server.give(RoleSample.binding("b", in: "default", to: "ClusterRole/view", "User/jane"))
        let group = "/apis/authorization.k8s.io/v1"
        func may(_ verb: String, _ resource: String) async throws -> JSON? {
            let spec: JSON = [
                "resourceAttributes": ["namespace": "default", "verb": .string(verb), "resource": .string(resource)]
            ]
            return try await server.post("\(group)/selfsubjectaccessreviews", ["spec": spec], as: jane)["status"]
        }
        #expect(
            try await may("list", "pods") == [
                "allowed": true,
                "reason": "RBAC: allowed by RoleBinding \"b/default\" of ClusterRole \"view\" to User \"jane\"",
            ])
        #expect(try await may("delete", "pods") == ["allowed": false])
        let about: JSON = [
            "user": "jane", "resourceAttributes": ["namespace": "default", "verb": "get", "resource": "pods"],
        ]
        #expect(try await server.post("\(group)/subjectaccessreviews", ["spec": about])["status", "allowed"] == true)
        #expect(try await server.post("\(group)/subjectaccessreviews", ["spec": about], as: jane).code == 403)
        let local = "\(group)/namespaces/default/localsubjectaccessreviews"
        #expect(try await server.post(local, ["spec": about])["status", "allowed"] == true)
        let elsewhere = "\(group)/namespaces/kube-system/localsubjectaccessreviews"
        #expect(try await server.post(elsewhere, ["spec": about]).message.contains("must match metadata.namespace"))
        #expect(try await server.post("\(group)/subjectaccessreviews", ["spec": [:]]).code == 422)
        let rules = try await server.post(
            "\(group)/selfsubjectrulesreviews", ["spec": ["namespace": "default"]], as: jane)
        let lists = rules["status", "resourceRules"]?.array ?? []
        #expect(
            lists.contains {
                $0["resources"]?.strings?.contains("pods") == true && $0["verbs"] == ["get", "list", "watch"]
            })
        #expect(rules["status", "incomplete"] == false)
        #expect(try await server.get("\(group)/selfsubjectaccessreviews").code == 405)
    }
}

@Suite struct AccessRequestTests {
    private func verbs(_ method: String, _ path: String) -> [String] {
        let request = HTTPRequest(method: .init(method) ?? .get, scheme: nil, authority: nil, path: path)
        return AccessRequest.all(request, RequestTarget(request)).map(\.verb)
    }

    @Test func browsersSayTheirTokenAsASubprotocol() {
        func authorization(_ offered: String, header: String? = nil) -> String? {
            var fields = HTTPFields()
            fields[.secWebSocketProtocol] = offered
            fields[.authorization] = header
            return WebSocketToken.authorization(of: fields)
        }
        let token = WebSocketToken.prefix + "c2VjcmV0"
        #expect(authorization("v5.channel.k8s.io, \(token)") == "Bearer secret")
        #expect(authorization(token) == nil && authorization("v5.channel.k8s.io") == nil)
        #expect(authorization("v5.channel.k8s.io, \(token)", header: "Bearer other") == "Bearer other")
        #expect(authorization("v4.channel.k8s.io,\(WebSocketToken.prefix)!!") == "Bearer ")
    }

    @Test func verbsComeFromMethodsAndPaths() {
        let pods = "/api/v1/namespaces/a/pods"
        #expect(verbs("GET", pods) == ["list"] && verbs("GET", pods + "?watch=1") == ["watch"])
        #expect(verbs("GET", pods + "/x") == ["get"] && verbs("POST", pods) == ["create"])
        #expect(verbs("PUT", pods + "/x") == ["update"] && verbs("PATCH", pods + "/x") == ["patch"])
        #expect(verbs("DELETE", pods + "/x") == ["delete"] && verbs("DELETE", pods) == ["deletecollection"])
        #expect(verbs("GET", pods + "/x/log") == ["get"] && verbs("GET", "/apis") == ["get"])
        #expect(verbs("GET", pods + "/x/exec?command=sh") == ["get", "create"])
    }
}
