// Unsafe: posix_spawn and waitpid take C pointers, which live for the call only.
// Drives the listener with the real Python clients, where the environment names interpreters that have them.

import Catalogue
import Glibc
import Logging
import NIO
import Testing

@testable import NacosServer

private func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// Runs a command to its end and returns its exit status.
private func run(_ arguments: [String], adding variable: String) async throws -> Int32 {
    try await NIOThreadPool.singleton.runIfActive {
        let words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        let names = ["PATH", "HOME"].compactMap { name in environment(name).map { "\(name)=\($0)" } }
        let variables: [UnsafeMutablePointer<CChar>?] = (names + [variable]).map { strdup($0) } + [nil]
        defer { for word in words + variables { free(word) } }
        var child: pid_t = 0
        guard posix_spawn(&child, arguments[0], nil, nil, words, variables) == 0 else { return -1 }
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 && errno == EINTR {}
        return status
    }
}

/// Two free ports, the second 1000 above the first.
private func freePort() async throws -> Int {
    for _ in 0..<50 {
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        let first = try await bootstrap.bind(host: "127.0.0.1", port: 0).get()
        let port = first.localAddress?.port ?? 0
        try await first.close()
        guard port < 64_000, let second = try? await bootstrap.bind(host: "127.0.0.1", port: port + 1_000).get() else {
            continue
        }
        try await second.close()
        return port
    }
    return 0
}

@Suite struct ForeignClientTests {
    /// `MANGROVE_PYTHON_NACOS_GRPC` has nacos-sdk-python 3.x, `MANGROVE_PYTHON_NACOS_HTTP` has 1.x; both have pytest.
    @Test(arguments: [
        ("MANGROVE_PYTHON_NACOS_GRPC", "Tests/Clients/test_nacos_grpc.py"),
        ("MANGROVE_PYTHON_NACOS_HTTP", "Tests/Clients/test_nacos_http.py"),
    ])
    func realClientsAreServed(_ variable: String, _ script: String) async throws {
        guard let python = environment(variable) else { return }
        let port = try await freePort()
        let catalogue = ServiceCatalogue(sources: [])
        var quiet = Logger(label: "nacos")
        quiet.logLevel = .critical
        let (listening, bound) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
        let listener = NacosListener(
            catalogue: catalogue, httpAddress: ListeningAddress(host: "127.0.0.1", port: port),
            grpcAddress: ListeningAddress(host: "127.0.0.1", port: port + NacosListener.grpcPortOffset),
            logger: quiet, onListening: { bound.yield() })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            group.addTask { try await catalogue.run() }
            for await _ in listening { break }
            let status = try await run(
                [python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", script],
                adding: "MANGROVE_NACOS=127.0.0.1:\(port)")
            #expect(status == 0)
            group.cancelAll()
            while let result = await group.nextResult() { _ = result }
        }
        #expect(catalogue.services().allSatisfy { $0.name.hasPrefix("test-") })
    }
}
