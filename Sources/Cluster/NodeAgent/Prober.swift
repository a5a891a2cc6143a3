// Asks probes and runs lifecycle hooks: HTTP, TCP, or a command in the container.

import AsyncHTTPClient
import ContainerRuntimes
import NIO
import Objects

/// Asks one question of a container and says how it was answered; it never throws.
final class Prober: Sendable {
    /// What is shown of a failed command's output.
    static let outputLimitBytes = 1024

    private let http: HTTPClient
    private let runtime: any ContainerRuntime

    init(runtime: any ContainerRuntime) {
        self.runtime = runtime
        var configuration = HTTPClient.Configuration(
            certificateVerification: .none, redirectConfiguration: .disallow, decompression: .disabled)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.idleTimeout = .milliseconds(1)
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func shutdown() async { try? await http.shutdown() }

    /// `address` is the pod's, `id` the container's.
    func ask(_ check: ProbeSpecification.Check, address: String, id: String, timeout: Duration) async -> ProbeResult {
        switch check {
        case .impossible(let message):
            return .failure(message)
        case .execute(let command):
            return await execute(command, id: id, timeout: timeout)
        case .health(let port, let service):
            return await HealthService.check(host: address, port: port, service: service, timeout: timeout)
        case .tcp(let host, let port):
            return await connect(host.isEmpty ? address : host, port, timeout: timeout)
        case .http(let isSecure, let host, let port, let path, let headers):
            let target = host.isEmpty ? address : host
            let authority = target.contains(":") ? "[\(target)]" : target
            let url = "\(isSecure ? "https" : "http")://\(authority):\(port)\(path)"
            return await get(url, host: target, port: port, headers: headers, timeout: timeout)
        }
    }

    private func get(
        _ url: String, host: String, port: Int, headers: [ProbeSpecification.Header], timeout: Duration
    ) async -> ProbeResult {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "User-Agent", value: "kube-probe/\(KubernetesVersion.short)")
        request.headers.add(name: "Accept", value: "*/*")
        request.headers.add(name: "Connection", value: "close")
        for header in headers { request.headers.replaceOrAdd(name: header.name, value: header.value) }
        do {
            let answer = try await http.execute(request, timeout: timeout.timeAmount)
            let code = Int(answer.status.code)
            return (200..<400).contains(code) ? .success : .failure("HTTP probe failed with statuscode: \(code)")
        } catch {
            return .failure("Get \"\(url)\": \(ConnectionFailure.words(error, host: host, port: port))")
        }
    }

    private func connect(_ host: String, _ port: Int, timeout: Duration) async -> ProbeResult {
        do {
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(timeout.timeAmount)
                .connect(host: host, port: port).get()
            try? await channel.close()
            return .success
        } catch {
            return .failure(ConnectionFailure.words(error, host: host, port: port))
        }
    }

    private func execute(_ command: [String], id: String, timeout: Duration) async -> ProbeResult {
        do throws(Problem) {
            let result = try await runtime.execute(id, command: command, timeout: timeout)
            if result.exitCode == 0 { return .success }
            let output = (result.standardOutput + result.standardError).prefix(Self.outputLimitBytes)
            let words = String(decoding: output, as: UTF8.self)
            return .failure(words.isEmpty ? "command exited with code \(result.exitCode)" : words)
        } catch {
            return .failure(error.message)
        }
    }
}

extension Duration {
    var timeAmount: TimeAmount {
        .nanoseconds(components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000)
    }
}
