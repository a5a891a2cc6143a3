// How a cluster is found: by a kubeconfig's context, by the service account of a pod, and what is refused.

import Objects
import Synchronization
import Testing

@testable import Client

private final class File: Sendable {
    let text = Mutex("first\n")
}

@Suite struct KubeconfigTests {
    private static let text = """
        apiVersion: v1
        kind: Config
        current-context: here
        contexts:
        - {name: here, context: {cluster: one, user: certificate, namespace: shop}}
        - {name: there, context: {cluster: two, user: token}}
        - {name: plugin, context: {cluster: one, user: plugin}}
        clusters:
        - {name: one, cluster: {server: "https://192.0.2.1:6443/", certificate-authority: ca.crt}}
        - {name: two, cluster: {server: "https://192.0.2.2:6443", certificate-authority-data: Y2E=}}
        users:
        - {name: certificate, user: {client-certificate: me.crt, client-key-data: a2V5}}
        - {name: token, user: {token: old, tokenFile: token}}
        - {name: plugin, user: {exec: {command: aws}}}
        """

    private func read(_ path: String) throws -> [UInt8] { Array("<\(path)>".utf8) }

    @Test func filesAndData() throws {
        let config = try Kubeconfig(parsing: Self.text, read: read)
        #expect(config.server == "https://192.0.2.1:6443" && config.namespace == "shop")
        #expect(config.certificateAuthority == Array("<ca.crt>".utf8) && config.clientKey == Array("key".utf8))
        #expect(config.clientCertificate == Array("<me.crt>".utf8) && config.token == nil)
    }

    @Test func contextsByName() throws {
        let config = try Kubeconfig(parsing: Self.text, context: "there", read: read)
        #expect(config.server == "https://192.0.2.2:6443" && config.certificateAuthority == Array("ca".utf8))
        #expect(config.tokenFile == "token")
        #expect(throws: Problem.self) { try Kubeconfig(parsing: Self.text, context: "nowhere", read: read) }
    }

    @Test func whatIsNotDoneIsRefused() {
        #expect(throws: Problem(.notImplemented, "the kubeconfig's user \"plugin\" needs exec, which is not supported"))
        {
            try Kubeconfig(parsing: Self.text, context: "plugin", read: read)
        }
    }

    @Test func thePodsOwnCluster() throws {
        let variables = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"]
        let config = try Kubeconfig.inCluster(variable: { variables[$0] }, read: read)
        #expect(config.server == "https://[fd00::1]:443")
        #expect(config.tokenFile == Kubeconfig.accountDirectory + "/token")
        #expect(throws: Problem.self) { try Kubeconfig.inCluster(variable: { _ in nil }, read: read) }
    }

    @Test func tokensAreReadAnew() {
        let file = File()
        let source = TokenSource(token: nil, file: "token") { _ in Array(file.text.withLock { $0 }.utf8) }
        let start = ContinuousClock.now
        #expect(source.token(at: start) == "first")
        file.text.withLock { $0 = "second" }
        #expect(source.token(at: start + .seconds(59)) == "first")
        #expect(source.token(at: start + .seconds(60)) == "second")
        file.text.withLock { $0 = "third" }
        source.refused()
        #expect(source.token(at: start + .seconds(61)) == "third")
    }
}
