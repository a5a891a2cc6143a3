// Service accounts as pods and programs meet them: admission, token requests, token reviews, discovery documents.

import Access
import Formats
import Objects
import Testing

@testable import APIServer

@Suite struct AccountTests {
    private let pods = "/api/v1/namespaces/default/pods"
    private let accounts = "/api/v1/namespaces/default/serviceaccounts"

    @Test func podsGetTheirAccountAndItsCredentials() async throws {
        let server = try await GuardedServer()
        let pod = try await server.post(pods, Sample.pod("web"))
        #expect(pod.code == 201, "\(pod.message)")
        #expect(pod["spec", "serviceAccountName"] == "default" && pod["spec", "serviceAccount"] == "default")
        let mount = try #require(pod["spec", "containers"]?.array?.first?["volumeMounts"]?.array?.first)
        #expect(mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount" && mount["readOnly"] == true)
        let volume = try #require(pod["spec", "volumes"]?.array?.first)
        #expect(volume["name"] == mount["name"] && volume["name"]?.string?.hasPrefix("kube-api-access-") == true)
        #expect(
            volume["projected"] == [
                "defaultMode": 420,
                "sources": [
                    ["serviceAccountToken": ["expirationSeconds": 3607, "path": "token"]],
                    ["configMap": ["name": "kube-root-ca.crt", "items": [["key": "ca.crt", "path": "ca.crt"]]]],
                    [
                        "downwardAPI": [
                            "items": [
                                [
                                    "path": "namespace",
                                    "fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.namespace"],
                                ]
                            ]
                        ]
                    ],
                ],
            ])
    }

    @Test func podsMayDeclineAndMustNameWhatIsThere() async throws {
        let server = try await GuardedServer()
        var quiet = Sample.pod("quiet")
        quiet["spec", "automountServiceAccountToken"] = false
        #expect(try await server.post(pods, quiet)["spec", "volumes"] == nil)
        let account: JSON = [
            "metadata": ["name": "shy"], "automountServiceAccountToken": false,
            "imagePullSecrets": [["name": "registry"]],
        ]
        #expect(try await server.post(accounts, account).code == 201)
        var shy = Sample.pod("shy")
        shy["spec", "serviceAccountName"] = "shy"
        let made = try await server.post(pods, shy)
        #expect(made["spec", "volumes"] == nil && made["spec", "imagePullSecrets"] == [["name": "registry"]])
        var lost = Sample.pod("lost")
        lost["spec", "serviceAccountName"] = "none"
        let refused = try await server.post(pods, lost)
        #expect(
            refused.message
                == "pods \"lost\" is forbidden: error looking up service account default/none: serviceaccount \"none\" "
                + "not found")
        var own = Sample.pod("own")
        own["spec", "containers"] = [
            [
                "name": "main", "image": "host",
                "volumeMounts": [["name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"]],
            ]
        ]
        own["spec", "volumes"] = [["name": "v", "emptyDir": [:]]]
        #expect(try await server.post(pods, own)["spec", "volumes"]?.array?.count == 1)
    }

    @Test func tokensAreIssuedOnRequestAndEndWithTheirPod() async throws {
        let server = try await GuardedServer()
        let pod = try await server.post(pods, Sample.pod("web"))
        let uid = try #require(pod["metadata", "uid"])
        let spec: JSON = ["boundObjectRef": ["kind": "Pod", "apiVersion": "v1", "name": "web", "uid": uid]]
        let answer = try await server.post(accounts + "/default/token", ["spec": spec])
        #expect(answer.code == 201, "\(answer.message)")
        #expect(answer["spec", "expirationSeconds"] == 3600)
        #expect(answer["spec", "audiences"] == ["https://kubernetes.default.svc.cluster.local"])
        let token = try #require(answer["status", "token"]?.string)
        #expect(try server.identity(token: token).name == "system:serviceaccount:default:default")
        let review = try await server.post(
            "/apis/authentication.k8s.io/v1/tokenreviews", ["spec": ["token": .string(token)]])
        #expect(review["status", "authenticated"] == true)
        #expect(review["status", "user", "username"] == "system:serviceaccount:default:default")
        #expect(review["status", "user", "extra"]?["authentication.kubernetes.io/pod-name"] == ["web"])
        _ = try await server.send(.delete, pods + "/web")
        #expect(throws: Problem.self) { try server.identity(token: token) }
        let late = try await server.post(
            "/apis/authentication.k8s.io/v1/tokenreviews", ["spec": ["token": .string(token)]])
        #expect(late["status"] == ["user": [:], "error": "[service account token has been invalidated]"])
    }

    @Test func wrongTokenRequestsAreRefused() async throws {
        let server = try await GuardedServer()
        func request(_ spec: JSON, account: String = "default") async throws -> Server.Reply {
            try await server.post("\(accounts)/\(account)/token", ["spec": spec])
        }
        #expect(
            try await request(["expirationSeconds": 10]).message
                == "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 10: may not "
                + "specify a duration less than 10 minutes")
        #expect(try await request([:], account: "none").message == "serviceaccounts \"none\" not found")
        let map: JSON = ["boundObjectRef": ["kind": "ConfigMap", "apiVersion": "v1", "name": "x"]]
        #expect(try await request(map).message == "cannot bind token to object of type /v1, Kind=ConfigMap")
        _ = try await server.post(pods, Sample.pod("web"))
        let stale: JSON = ["boundObjectRef": ["kind": "Pod", "apiVersion": "v1", "name": "web", "uid": "old"]]
        #expect(try await request(stale).code == 409)
        _ = try await server.post(accounts, ["metadata": ["name": "other"]])
        let foreign: JSON = ["boundObjectRef": ["kind": "Pod", "apiVersion": "v1", "name": "web"]]
        #expect(try await request(foreign, account: "other").code == 400)
        let edit = RoleSample.binding("b", in: "default", to: "ClusterRole/view", "User/jane")
        _ = try await server.give(edit)
        #expect(try await server.post("\(accounts)/default/token", ["spec": [:]], as: GuardedServer.jane).code == 403)
    }

    @Test func theIssuerIsPublishedToAccountsAlone() async throws {
        let server = try await GuardedServer()
        let robot = Identity(name: "system:serviceaccount:default:default", groups: ["system:serviceaccounts"])
        let configuration = try await server.get("/.well-known/openid-configuration", as: robot)
        #expect(configuration["jwks_uri"] == "https://kubernetes.default.svc.cluster.local/openid/v1/jwks")
        let keys = try await server.get("/openid/v1/jwks", as: robot)
        #expect(keys.fields[.contentType] == "application/jwk-set+json" && keys["keys"]?.array?.count == 1)
        #expect(try await server.get("/openid/v1/jwks", as: .anonymous).code == 403)
    }
}
