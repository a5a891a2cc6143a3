// Nacos' gRPC: a method for unary requests, and one for the stream that is the client's life and carries the pushes.

import Formats
import GRPCServing
import Logging

struct GRPCInterface: Sendable {
    let backend: Backend
    let logger: Logger

    static let limits = GRPCLimits(messageBytes: 10 << 20)

    /// What is served at an address.
    func listener(at address: ListenAddress) -> GRPCListener {
        let requests = GRPCRequests(backend: backend)
        return GRPCListener(
            host: address.host, port: address.port, limits: Self.limits,
            methods: [
                "/Request/request": .unary { message, peer in
                    do throws(GRPCStatus) {
                        switch requests.answer(try Payload(message), peer: peer) {
                        case .now(let payload): return .now(.success(payload.encoded))
                        case .later(let work): return .later { .success(await work().encoded) }
                        }
                    } catch {
                        return .now(.failure(error))
                    }
                },
                "/BiRequestStream/requestBiStream": .conversation { [backend, logger] peer, wake in
                    ClientStream(backend: backend, logger: logger, peer: peer, wake: wake)
                },
            ])
    }
}

extension Payload {
    init(_ message: [UInt8]) throws(GRPCStatus) {
        do throws(PayloadProblem) {
            try self.init(decoding: message)
        } catch {
            throw GRPCStatus(.invalidArgument, "the message is no Nacos payload: \(error.description)")
        }
    }
}
