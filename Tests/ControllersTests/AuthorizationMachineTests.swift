// The decisions about token Secrets, certificate requests and aggregated roles.

import Formats
import Objects
import Testing

@testable import Controllers

@Suite struct AuthorizationMachineTests {
    private let now = Timestamp(secondsSinceEpoch: 1_790_000_000, nanoseconds: 0)

    private func secret(_ annotations: [String: String] = [:], _ data: [String: String] = [:]) -> Object {
        var secret = Object(.secrets, namespace: "shop", name: "key")
        secret["type"] = .string(TokenSecretMachine.type)
        secret.annotations = [TokenSecretMachine.nameAnnotation: "robot"].merging(annotations) { $1 }
        secret["data"] = JSON(stringMap: data)
        return secret
    }

    private func decide(_ secret: Object, uid: String? = "u1") -> TokenSecretMachine.Decision {
        var account = Object(.serviceAccounts, namespace: "shop", name: "robot")
        account.tree["metadata", "uid"] = uid.map { .string($0) }
        return TokenSecretMachine.decide(secret, account: uid == nil ? nil : account, rootCertificate: "CA")
    }

    @Test func tokenSecretsAreFilledOnce() {
        #expect(decide(secret()) == .fill(lacking: ["ca.crt": "CA", "namespace": "shop"], needsToken: true))
        let full = ["ca.crt": "Q0E=", "namespace": "c2hvcA==", "token": "eA=="]
        #expect(decide(secret([TokenSecretMachine.uidAnnotation: "u1"], full)) == .nothing)
        #expect(decide(secret([:], full)) == .fill(lacking: [:], needsToken: false))
        let stale = full.merging(["ca.crt": "eA=="]) { $1 }
        #expect(
            decide(secret([TokenSecretMachine.uidAnnotation: "u1"], stale))
                == .fill(lacking: ["ca.crt": "CA"], needsToken: false))
    }

    @Test func tokenSecretsGoWithTheirAccount() {
        #expect(decide(secret(), uid: nil) == .delete)
        #expect(decide(secret([TokenSecretMachine.uidAnnotation: "u0"])) == .delete)
        var plain = secret()
        plain["type"] = "Opaque"
        #expect(decide(plain, uid: nil) == .nothing)
    }

    private func request(_ condition: String? = nil, certificate: Bool = false, age: Int64 = 0) -> Object {
        let then = JSON.string(
            Timestamp(secondsSinceEpoch: now.secondsSinceEpoch - age, nanoseconds: 0).rfc3339)
        var request = Object(.certificateRequests, name: "jane")
        request.tree["metadata", "creationTimestamp"] = then
        if let condition {
            request["status", "conditions"] = [["type": .string(condition), "status": "True", "lastUpdateTime": then]]
        }
        if certificate { request["status", "certificate"] = "eA==" }
        return request
    }

    @Test func certificateRequestsAreSignedWhenApprovedAndGoWhenOld() {
        func decide(_ request: Object) -> CertificateRequestMachine.Decision {
            CertificateRequestMachine.decide(request, now: now)
        }
        #expect(decide(request()) == .wait(seconds: 86_400))
        #expect(decide(request("Approved")) == .sign)
        #expect(decide(request("Approved", certificate: true)) == .wait(seconds: 3600))
        #expect(decide(request("Denied", age: 100)) == .wait(seconds: 3500))
        #expect(decide(request("Denied", age: 3600)) == .delete)
        #expect(decide(request("Approved", certificate: true, age: 3601)) == .delete)
        #expect(decide(request(age: 86_400)) == .delete)
        #expect(decide(request("Failed")) == .wait(seconds: 3600))
    }

    @Test func rolesAreCopiedInTheOrderOfTheirNames() {
        func role(_ name: String, _ labels: [String: String], _ rules: JSON...) -> Object {
            var role = Object(.clusterRoles, name: name)
            role.labels = labels
            role["rules"] = .array(rules)
            return role
        }
        var all = role("all", ["part": "yes"])
        all["aggregationRule"] = ["clusterRoleSelectors": [["matchLabels": ["part": "yes"]]]]
        let rules = RoleAggregationController.rules(
            of: all,
            among: [
                role("a", ["part": "yes"], "one", "two"), all, role("b", ["part": "no"], "three"),
                role("c", ["part": "yes"], "two", "four"),
            ])
        #expect(rules == ["one", "two", "four"])
    }
}
