// Carries requests to an API server over HTTPS (or plain HTTP where the server's address says so).

import AsyncHTTPClient
import HTTPTypes
import Logging
import NIOCore
import NIOSSL
import Objects

/// A pool of connections to one server. `shutdown()` must be called at the end.
package final class HTTPSTransport: Transport {
    /// Time for the head of an answer to come.
    static let answerSeconds: Int64 = 60
    static let connectSeconds: Int64 = 10
    /// A body that stands still for longer is given up: a little more than the server keeps a watch.
    static let idleSeconds = Int64(KubernetesClient.watchSeconds + 30)
    /// Every HTTP/1.1 watch holds a connection of its own.
    static let connectionLimit = 256

    private let http: HTTPClient
    private let server: String
    private let tokens: TokenSource

    /// `read` gives the bytes of the file that the token is renewed in, where the kubeconfig names one.
    package init(
        _ kubeconfig: Kubeconfig,
        read: @escaping @Sendable (String) throws -> [UInt8] = { file in
            throw Problem(.invalid, "\(file) cannot be read here")
        }
    ) throws {
        server = kubeconfig.server
        tokens = TokenSource(token: kubeconfig.token, file: kubeconfig.tokenFile, read: read)
        var tls = TLSConfiguration.makeClientConfiguration()
        if let authority = kubeconfig.certificateAuthority {
            tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(authority))
        }
        if kubeconfig.skipsVerification { tls.certificateVerification = .none }
        if let certificate = kubeconfig.clientCertificate, let key = kubeconfig.clientKey {
            tls.certificateChain = try NIOSSLCertificate.fromPEMBytes(certificate).map { .certificate($0) }
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: key, format: .pem))
        }
        var configuration = HTTPClient.Configuration()
        configuration.tlsConfiguration = tls
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(
            connect: .seconds(Self.connectSeconds), read: .seconds(Self.idleSeconds))
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Self.connectionLimit
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    package func shutdown() async throws { try await http.shutdown() }

    package func send(_ request: HTTPRequest, body: [UInt8]) async throws -> Answer {
        var outgoing = HTTPClientRequest(url: server + (request.path ?? "/"))
        outgoing.method = .init(rawValue: request.method.rawValue)
        for field in request.headerFields { outgoing.headers.add(name: field.name.rawName, value: field.value) }
        if let token = tokens.token() { outgoing.headers.replaceOrAdd(name: "Authorization", value: "Bearer \(token)") }
        if !body.isEmpty { outgoing.body = .bytes(body) }
        let incoming: HTTPClientResponse
        do {
            incoming = try await http.execute(outgoing, timeout: .seconds(Self.answerSeconds))
        } catch {
            throw Self.wrapped(error, "\(server) did not answer")
        }
        if incoming.status == .unauthorized { tokens.refused() }
        var response = HTTPResponse(status: .init(code: Int(incoming.status.code)))
        for (name, value) in incoming.headers {
            if let name = HTTPField.Name(name) { response.headerFields.append(HTTPField(name: name, value: value)) }
        }
        return Answer(response: response, body: .stream(ArrivingBody(incoming.body, from: server)))
    }

    /// What broke off, with the server's name; a cancellation stays one.
    fileprivate static func wrapped(_ error: any Error, _ what: String) -> any Error {
        if error is CancellationError { return error }
        let client = error as? HTTPClientError
        if client == .cancelled { return CancellationError() }
        return Problem(.serviceUnavailable, "\(what): \(client?.shortDescription ?? "\(error)")")
    }
}

/// The body of an answer as it arrives.
private actor ArrivingBody: ByteStream {
    private var iterator: HTTPClientResponse.Body.AsyncIterator
    private let server: String

    init(_ body: HTTPClientResponse.Body, from server: String) {
        iterator = body.makeAsyncIterator()
        self.server = server
    }

    func next() async throws -> [UInt8]? {
        var iterator = iterator
        do {
            let chunk = try await iterator.next(isolation: self)
            self.iterator = iterator
            return chunk.map { Array($0.readableBytesView) }
        } catch {
            throw HTTPSTransport.wrapped(error, "the answer of \(server) broke off")
        }
    }
}
