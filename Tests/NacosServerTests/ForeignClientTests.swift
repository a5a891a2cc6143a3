// Unsafe: posix_spawn and waitpid take C pointers, which live for the call only.
// Drives the listener, and a catalogue that the test holds, with the real Python client.

import Catalogue
import Glibc
import Logging
import NIO
import Testing

@testable import NacosServer

/// Has nacos-sdk-python 3.x and pytest. Tests run in the package's directory.
private let python = ".venv/bin/python"

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

/// Runs the listener on free ports while the body runs.
private func withListener(
    _ catalogue: ServiceCatalogue, _ body: @Sendable (_ port: Int) async throws -> Void
) async throws {
    let port = try await freePort()
    var quiet = Logger(label: "nacos")
    quiet.logLevel = .critical
    let (listening, bound) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
    let backend = MemoryBackend(catalogue: catalogue).backend
    let listener = NacosListener(
        backend: backend, httpAddress: ListeningAddress(host: "127.0.0.1", port: port),
        grpcAddress: ListeningAddress(host: "127.0.0.1", port: port + NacosListener.grpcPortOffset), logger: quiet,
        onListening: { bound.yield() })
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await listener.run() }
        group.addTask { try await catalogue.run() }
        group.addTask { await backend.run() }
        for await _ in listening { break }
        try await body(port)
        group.cancelAll()
        while let result = await group.nextResult() { _ = result }
    }
}

/// Needs the Python environment that `make setup` makes; without it the suite says so.
@Suite(.enabled(if: access(python, X_OK) == 0, "\(python) is missing: run `make setup`"))
struct ForeignClientTests {
    private static let follower = """
        import asyncio, sys
        sys.path.insert(0, "Tests/Clients")
        import test_nacos_grpc as shared
        async def main():
            naming, follower = await shared.client(), shared.Follower()
            await naming.subscribe(shared.SubscribeServiceParam(service_name="orders", subscribe_callback=follower))
            await shared.until(lambda: follower.ports == [1, 2], "both pods")
            await naming.register_instance(shared.RegisterInstanceParam(service_name="ready", ip="10.9.0.9", port=1))
            await shared.until(lambda: follower.ports == [2], "the pod that stays")
            await shared.until(lambda: follower.ports == [2, 3], "the pod that came")
            await naming.shutdown()
        asyncio.run(main())
        """

    /// Acknowledged before gone: the wait for a withdrawn pod ends when the real client has taken in the push.
    @Test(.timeLimit(.minutes(10))) func aWithdrawnPodIsWaitedForUntilTheRealClientKnows() async throws {
        let catalogue = ServiceCatalogue(sources: [.kubernetes])
        let orders = ServiceName(name: "orders")
        @Sendable func pods(_ numbers: [Int]) -> [Instance] {
            numbers.map { Instance(address: "10.0.0.\($0)", port: $0, lifetime: .kubernetes, origin: .kubernetes) }
        }
        catalogue.replace(pods([1, 2]), of: .kubernetes, as: orders)
        catalogue.sourceSynced(.kubernetes)
        let feed = catalogue.changes()
        try await withListener(catalogue) { port in
            async let status = run([python, "-c", Self.follower], adding: "MANGROVE_NACOS=127.0.0.1:\(port)")
            while catalogue.snapshot(of: ServiceName(name: "ready")).isEmpty { _ = await feed.next() }
            #expect(catalogue.outstanding(address: "10.0.0.1").count == 1)
            let clock = ContinuousClock()
            let waited = await clock.measure {
                catalogue.withdraw(address: "10.0.0.1")
                await catalogue.waitUntilAcknowledged(address: "10.0.0.1")
            }
            print("a real client acknowledged after", waited)
            #expect(catalogue.outstanding(address: "10.0.0.1").isEmpty)
            catalogue.replace(pods([1, 2, 3]), of: .kubernetes, as: orders)
            let exit = try await status
            #expect(exit == 0)
        }
    }
}
