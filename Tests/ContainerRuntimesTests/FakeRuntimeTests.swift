// The fake runtime behaves as the port promises, since other rooms' tests lean on it.

import ContainerRuntimes
import Objects
import Testing

@Suite struct FakeRuntimeTests {
    @Test func aContainerLivesAndDies() async throws {
        let runtime = FakeRuntime()
        let sandbox = try await runtime.runSandbox(
            SandboxConfig(id: "u1", namespace: "default", name: "web", hostname: "web", logDirectory: "/logs"))
        #expect(sandbox.state == .ready)
        let id = try await runtime.createContainer(
            sandbox: "u1", ContainerConfig(name: "c", image: "host", command: ["true"], logPath: "c/0.log"))
        try await runtime.startContainer(id)
        #expect(try await runtime.containers().map(\.state) == [.running])
        try await runtime.stopContainer(id, timeout: .seconds(1))
        let events = await runtime.nextEvents()
        #expect(events.count == 2)
        #expect(try await runtime.containers().map(\.exitCode) == [143])
        try await runtime.removeSandbox("u1")
        #expect(try await runtime.containers().isEmpty)
        #expect(runtime.calls.first == "runSandbox u1")
    }

    @Test func aFailureIsThrownUntilMended() async throws {
        let runtime = FakeRuntime()
        runtime.fail("runSandbox u1", with: Problem(.internalError, "no namespaces left"))
        let config = SandboxConfig(id: "u1", namespace: "default", name: "web", hostname: "web", logDirectory: "/logs")
        await #expect(throws: Problem.self) { try await runtime.runSandbox(config) }
        runtime.fail("runSandbox u1", with: nil)
        _ = try await runtime.runSandbox(config)
    }
}
