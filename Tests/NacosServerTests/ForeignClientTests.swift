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

/// Runs the listener on free ports while the body runs.
private func withListener(
    _ catalogue: ServiceCatalogue, port: Int? = nil, _ body: @Sendable (_ port: Int) async throws -> Void
) async throws {
    let port = if let port { port } else { try await freePort() }
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

/// `MANGROVE_PYTHON_NACOS_GRPC` has nacos-sdk-python 3.x, `MANGROVE_PYTHON_NACOS_HTTP` has 1.x; both have pytest.
@Suite struct ForeignClientTests {
    @Test(arguments: [
        ("MANGROVE_PYTHON_NACOS_GRPC", "Tests/Clients/test_nacos_grpc.py"),
        ("MANGROVE_PYTHON_NACOS_HTTP", "Tests/Clients/test_nacos_http.py"),
    ])
    func realClientsAreServed(_ variable: String, _ script: String) async throws {
        guard let python = environment(variable) else { return }
        try await withListener(ServiceCatalogue(sources: [])) { port in
            let status = try await run(
                [python, "-m", "pytest", "-q", "-x", "--durations=5", "-p", "no:cacheprovider", script],
                adding: "MANGROVE_NACOS=127.0.0.1:\(port)")
            #expect(status == 0)
        }
    }

    private static let survivor = """
        import asyncio, sys
        sys.path.insert(0, "Tests/Clients")
        import test_nacos_grpc as shared
        async def main():
            naming, follower = await shared.client(), shared.Follower()
            await naming.subscribe(shared.SubscribeServiceParam(service_name="end", subscribe_callback=follower))
            await naming.register_instance(shared.RegisterInstanceParam(service_name="orders", ip="10.9.0.9", port=1))
            for _ in range(6):
                try:
                    await shared.until(lambda: follower.ports, "the end")
                    break
                except BaseException:
                    pass
            await naming.shutdown()
            sys.exit(0 if follower.ports else 1)
        asyncio.run(main())
        """

    /// A restarted platform gets its clients back: they register and subscribe anew by themselves (this one in 30 s).
    @Test(.timeLimit(.minutes(2))) func clientsComeBackAfterARestart() async throws {
        guard let python = environment("MANGROVE_PYTHON_NACOS_GRPC") else { return }
        let port = try await freePort()
        let (exits, exited) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingOldest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                exited.yield(try await run([python, "-c", Self.survivor], adding: "MANGROVE_NACOS=127.0.0.1:\(port)"))
            }
            for life in 1...2 {
                let catalogue = ServiceCatalogue(sources: [])
                let feed = catalogue.changes()
                try await withListener(catalogue, port: port) { _ in
                    while catalogue.snapshot(of: ServiceName(name: "orders")).isEmpty { _ = await feed.next() }
                    guard life == 2 else { return }
                    let end = Instance(address: "10.0.0.1", port: 1, lifetime: .kubernetes, origin: .kubernetes)
                    catalogue.replace([end], of: .kubernetes, as: ServiceName(name: "end"))
                    for await exit in exits {
                        #expect(exit == 0)
                        break
                    }
                }
            }
            try await group.waitForAll()
        }
    }

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
        guard let python = environment("MANGROVE_PYTHON_NACOS_GRPC") else { return }
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
