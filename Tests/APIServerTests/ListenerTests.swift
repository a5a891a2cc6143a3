// The listener's own promises over real sockets: what is written arrives, however slowly it is read.

import Access
import Client
import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct ListenerTests {
    /// Several times the window of an HTTP/2 stream, so that the end of the answer has to wait for the reader.
    @Test func aSlowReaderGetsAllOfAStream() async throws {
        let server = try await Server()
        for number in 0..<4 {
            let map = Sample.configMap("large-\(number)", ["a": String(repeating: "x", count: 200_000)])
            #expect(try await server.post("/api/v1/namespaces/default/configmaps", map).code == 201)
        }
        try await server.listening { credentials, port in
            let path = server.directory.path + "/kubeconfig"
            try credentials.writeKubeconfig(to: path, server: "https://127.0.0.1:\(port)")
            let kubeconfig = Kubectl(directory: server.directory.path).read("kubeconfig")
            let transport = try HTTPSTransport(Kubeconfig(parsing: kubeconfig) { _ in [] })
            let request = HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/mangrove.dev/snapshot")
            let answer = try await transport.send(request, body: [])
            var received: [UInt8] = []
            if case .stream(let chunks) = answer.body {
                while let chunk = try await chunks.next() {
                    received += chunk
                    try await Task.sleep(for: .milliseconds(2))
                }
            }
            try await transport.shutdown()
            #expect(received.count > 800_000)
            #expect(received.last == UInt8(ascii: "\n"))
            #expect(received.starts(with: Array("store ".utf8)))
        }
    }

    @Test func aServerThatIsNotThereIsNamed() async throws {
        let transport = try HTTPSTransport(
            Kubeconfig(
                parsing: """
                    current-context: a
                    contexts: [{name: a, context: {cluster: a}}]
                    clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
                    """
            ) { _ in [] })
        let request = HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/version")
        do {
            _ = try await transport.send(request, body: [])
            Issue.record("something answers on port 1")
        } catch {
            #expect((error as? Problem)?.message.hasPrefix("https://127.0.0.1:1 did not answer: ") == true, "\(error)")
        }
        try await transport.shutdown()
    }
}
