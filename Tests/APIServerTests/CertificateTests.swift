// Certificate signing requests: who asks, who approves, and what each signer signs.

import Access
import Crypto
import Formats
import Objects
import Testing
import X509

@testable import APIServer
@testable import Access

@Suite struct CertificateTests {
    private let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

    /// A request as PEM with this subject and these names.
    private func request(_ name: String, _ groups: [String] = [], names: [GeneralName] = []) throws -> String {
        let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
        let subject = try DistinguishedName {
            for group in groups { OrganizationName(group) }
            CommonName(name)
        }
        var attributes = CertificateSigningRequest.Attributes()
        if !names.isEmpty {
            let extensions = try Certificate.Extensions { SubjectAlternativeNames(names) }
            attributes.insert(try .init(ExtensionRequest(extensions: extensions)))
        }
        let request = try CertificateSigningRequest(
            version: .v1, subject: subject, privateKey: key, attributes: attributes,
            signatureAlgorithm: .ecdsaWithSHA256)
        return try request.serializeAsPEM().pemString
    }

    private func object(_ pem: String, signer: String = "kubernetes.io/kube-apiserver-client") -> JSON {
        [
            "metadata": ["name": "jane"],
            "spec": [
                "request": .string(Base64.encode(Array(pem.utf8))), "signerName": .string(signer),
                "usages": ["digital signature", "client auth"], "username": "somebody else",
            ],
        ]
    }

    private let approved: JSON = [["type": "Approved", "status": "True", "reason": "Because", "message": "fine"]]

    @Test func whoAsksIsWhoTheServerSaw() async throws {
        let server = try await GuardedServer()
        let basic = RoleSample.rule("create,get,update", "certificatesigningrequests", group: "certificates.k8s.io")
        _ = try await server.give(RoleSample.role("asker", basic))
        _ = try await server.give(RoleSample.binding("b", to: "ClusterRole/asker", "User/jane"))
        let made = try await server.post(path, object(try request("jane")), as: GuardedServer.jane)
        #expect(made.code == 201, "\(made.message)")
        #expect(made["spec", "username"] == "jane" && made["spec", "groups"] == ["dev", "system:authenticated"])
        var changed = made.tree
        changed["spec", "username"] = "king"
        #expect(try await server.send(.put, path + "/jane", changed)["spec", "username"] == "jane")
    }

    @Test func approvingNeedsTheSignersLeave() async throws {
        let server = try await GuardedServer()
        var csr = try await server.post(path, object(try request("jane"))).tree
        csr["status", "conditions"] = approved
        let clerk = RoleSample.rule("get,update", "certificatesigningrequests/approval", group: "certificates.k8s.io")
        _ = try await server.give(RoleSample.role("clerk", clerk))
        _ = try await server.give(RoleSample.binding("b", to: "ClusterRole/clerk", "User/jane"))
        let refused = try await server.send(.put, path + "/jane/approval", csr, as: GuardedServer.jane)
        #expect(
            refused.message
                == "certificatesigningrequests.certificates.k8s.io \"jane\" is forbidden: user not permitted to approve "
                + "requests with signerName \"kubernetes.io/kube-apiserver-client\"")
        let leave = RoleSample.rule("approve", "signers", group: "certificates.k8s.io", names: ["kubernetes.io/*"])
        _ = try await server.give(RoleSample.role("leave", leave))
        _ = try await server.give(RoleSample.binding("l", to: "ClusterRole/leave", "User/jane"))
        let done = try await server.send(.put, path + "/jane/approval", csr, as: GuardedServer.jane)
        #expect(done.code == 200, "\(done.message)")
        let condition = try #require(done["status", "conditions"]?.array?.first)
        #expect(condition["lastUpdateTime"] != nil && condition["lastTransitionTime"] != nil)
        var reversed = done.tree
        reversed["status", "conditions"] = [["type": "Denied", "status": "True"]]
        #expect(
            try await server.send(.put, path + "/jane/approval", reversed).message.contains(
                "updates may not remove a condition of type \"Approved\""))
        // A verdict does not come through status, a certificate comes once.
        var status = done.tree
        status["status", "conditions"] = []
        status["status", "certificate"] = "eA=="
        let signed = try await server.send(.put, path + "/jane/status", status)
        #expect(signed["status", "conditions"]?.array?.count == 1 && signed["status", "certificate"] == "eA==")
        var again = signed.tree
        again["status", "certificate"] = "eQ=="
        #expect(try await server.send(.put, path + "/jane/status", again).code == 422)
    }

    @Test func wrongRequestsAreRefused() async throws {
        let server = try await GuardedServer()
        func message(_ change: (inout JSON) -> Void) async throws -> String {
            var csr = object(try request("jane"))
            change(&csr)
            return try await server.post(path, csr).message
        }
        #expect(
            try await message { $0["spec", "request"] = "eA==" }.contains("PEM block type must be CERTIFICATE REQUEST"))
        #expect(try await message { $0["spec", "usages"] = [] }.contains("spec.usages: Required value"))
        #expect(try await message { $0["spec", "usages"] = ["flying"] }.contains("Unsupported value: \"flying\""))
        #expect(
            try await message { $0["spec", "signerName"] = "kubernetes.io/legacy-unknown" }.contains(
                "not allowed via this"))
        #expect(
            try await message { $0["spec", "signerName"] = "me" }.contains("must be a fully qualified domain and path"))
        #expect(try await message { $0["spec", "expirationSeconds"] = 60 }.contains("less than 600 seconds"))
        let masters = object(try request("king", ["system:masters"]))
        #expect(
            try await server.post(path, masters).message.hasSuffix(
                "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"))
    }

    @Test func brokenRequestsNeverAskForSomethingElse() throws {
        let pem = try request("jane", ["dev"])
        let lines = pem.split(separator: "\n").map(String.init)
        let bytes = try #require(Base64.decode(lines.dropFirst().dropLast().joined()))
        var state: UInt64 = 11
        for _ in 0..<300 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            var broken = bytes
            let place = Int(state >> 40) % bytes.count
            broken[place] ^= UInt8(truncatingIfNeeded: state >> 20) | 1
            let text = ([lines[0]] + [Base64.encode(broken)] + [lines[lines.count - 1]]).joined(separator: "\n")
            // Every byte is either of the structure or signed.
            guard let read = try? RequestedCertificate(pem: text) else { continue }
            #expect(read.commonName == "jane" && read.organizations == ["dev"], "byte \(place)")
        }
    }

    @Test func eachSignerSignsItsOwnKind() throws {
        let client = try RequestedCertificate(pem: request("jane", ["dev"]))
        #expect(client.refusal(by: .client, usages: ["client auth", "key encipherment"]) == nil)
        #expect(client.refusal(by: .client, usages: ["client auth", "server auth"]) != nil)
        #expect(client.refusal(by: .client, usages: ["digital signature"]) == "usages must include client auth")
        let usages = ["digital signature", "client auth"]
        #expect(client.refusal(by: .kubeletClient, usages: usages) == "subject organization is not system:nodes")
        let node = try RequestedCertificate(pem: request("system:node:a", ["system:nodes"]))
        #expect(node.refusal(by: .kubeletClient, usages: usages) == nil)
        let serving = ["digital signature", "server auth"]
        #expect(node.refusal(by: .kubeletServing, usages: serving) == "DNS or IP subjectAltName is required")
        let named = try RequestedCertificate(pem: request("system:node:a", ["system:nodes"], names: [.dnsName("a")]))
        #expect(named.refusal(by: .kubeletServing, usages: serving) == nil)
        #expect(named.refusal(by: .kubeletClient, usages: usages) == "DNS or IP subjectAltNames are not allowed")
        let mail = try RequestedCertificate(
            pem: request("system:node:a", ["system:nodes"], names: [.rfc822Name("a@b")]))
        #expect(mail.refusal(by: .kubeletServing, usages: serving) == "Email subjectAltNames are not allowed")
    }

    @Test func whatIsSignedLetsIn() async throws {
        let server = try await GuardedServer()
        let signing = try CertificateSigning(server.credentials)
        let now: Int64 = 1_790_000_000
        let pem = try signing.sign(
            requestPEM: request("jane", ["dev"]), by: .client, usages: ["client auth"], seconds: 900, now: now)
        #expect(try server.authenticator.identity(certificatePEM: pem) == GuardedServer.jane)
        let certificate = try Certificate(pemEncoded: pem)
        #expect(certificate.notValidAfter.timeIntervalSince(certificate.notValidBefore) == 900)
        #expect(throws: Problem.self) {
            try signing.sign(
                requestPEM: request("x"), by: .kubeletClient, usages: ["client auth"], seconds: nil, now: now)
        }
    }
}
