// Carries requests of the platform's own clients straight into the embedded API server, skipping only the sockets.

import APIServer
import Access
import Client
import HTTPTypes
import Objects

/// A transport whose other end is in this process. The request passes authorization and every later step like any
/// other.
struct InProcessTransport: Transport {
    let api: KubernetesAPI
    let identity: Identity

    func send(_ request: HTTPRequest, body: [UInt8]) async throws -> Answer {
        let answer = await api.handle(request, body: body, identity: identity)
        switch answer.body {
        case .bytes(let bytes): return Answer(response: answer.response, body: .bytes(bytes))
        case .stream(let chunks): return Answer(response: answer.response, body: .stream(Chunks(source: chunks)))
        }
    }

    private struct Chunks: ByteStream {
        let source: any APIChunks
        func next() async throws -> [UInt8]? { try await source.next() }
        var events: (any EventStream)? { source.events.map(Events.init) }
    }

    private struct Events: EventStream {
        let source: any APIEvents
        func nextEvents() async throws -> [WatchEvent]? { try await source.nextEvents() }
    }
}
