// The Nacos interface of the catalogue: the HTTP open API and gRPC, as one service to run.

import Formats
import GRPCServing
import Logging
import Synchronization

/// Serves real Nacos clients from a backend, which must be running.
///
/// Clients dial gRPC at the HTTP port + 1000 and cannot be told otherwise (`NacosListener.grpcPortOffset`).
package struct NacosListener: Sendable {
    package static let grpcPortOffset = 1_000

    private let http: OpenAPIListener
    private let grpc: GRPCListener
    private let datagrams: Datagrams
    private let onListening: @Sendable () async -> Void

    /// `onListening` is called once when both addresses are bound. Hosts are IP addresses or `localhost`.
    package init(
        backend: Backend, httpAddress: ListenAddress, grpcAddress: ListenAddress, logger: Logger,
        onListening: @escaping @Sendable () async -> Void = {}
    ) {
        http = OpenAPIListener(api: OpenAPI(backend: backend), address: httpAddress, logger: logger)
        grpc = GRPCInterface(backend: backend, logger: logger).listener(at: grpcAddress)
        datagrams = backend.datagrams
        self.onListening = onListening
    }

    /// Serves until cancelled; throws when an address cannot be bound.
    package func run() async throws {
        let bound = Mutex(0)
        let oneMoreBound: @Sendable () async -> Void = { [onListening] in
            let count = bound.withLock { count in
                count += 1
                return count
            }
            if count == 2 { await onListening() }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await http.run(onListening: oneMoreBound) }
            group.addTask { try await grpc.run(onListening: oneMoreBound) }
            group.addTask { try await datagrams.run(on: http.address.host) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }
}
