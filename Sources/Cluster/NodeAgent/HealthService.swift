// Asks a program's gRPC health service (grpc.health.v1), as a grpc probe wants it.

import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Objects

/// One question `Check`; the two messages have one field each and are written and read by hand.
enum HealthService {
    static func check(host: String, port: Int, service: String, timeout: Duration) async -> ProbeResult {
        do {
            let transport = try HTTP2ClientTransport.Posix(
                target: host.contains(":") ? .ipv6(address: host, port: port) : .ipv4(address: host, port: port),
                transportSecurity: .plaintext)
            var options = CallOptions.defaults
            options.timeout = timeout
            options.waitForReady = false
            let status = try await withGRPCClient(transport: transport) { [options] client -> Int in
                try await client.unary(
                    request: ClientRequest(message: request(service)),
                    descriptor: MethodDescriptor(fullyQualifiedService: "grpc.health.v1.Health", method: "Check"),
                    serializer: BytesSerializer(), deserializer: BytesDeserializer(), options: options
                ) { answer throws -> Int in Self.status(try answer.message) }
            }
            return status == serving
                ? .success : .failure("service unhealthy (responded with \"\(names[status] ?? String(status))\")")
        } catch let error as RPCError {
            return .failure(words(error, host: host, port: port, timeout: timeout))
        } catch {
            return .failure("error: health rpc probe failed: \(error)")
        }
    }

    private static let serving = 1
    private static let names = [0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"]

    private static func words(_ error: RPCError, host: String, port: Int, timeout: Duration) -> String {
        switch error.code {
        case .unimplemented:
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): \(error.message)"
        case .deadlineExceeded: "timeout: health rpc did not complete within \(timeout)"
        case .unavailable: "error: failed to connect service \"\(host):\(port)\": \(error.message)"
        default: "error: health rpc probe failed: \(error.message)"
        }
    }

    /// `HealthCheckRequest`: field 1, the service's name.
    static func request(_ service: String) -> [UInt8] {
        let name = Array(service.utf8.prefix(127))
        return name.isEmpty ? [] : [0x0A, UInt8(name.count)] + name
    }

    /// Field 1 of `HealthCheckResponse`; 0 where it is left out.
    static func status(_ bytes: [UInt8]) -> Int {
        bytes.count >= 2 && bytes[0] == 0x08 ? Int(bytes[1]) : 0
    }

    private struct BytesSerializer: MessageSerializer {
        func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes { Bytes(message) }
    }

    private struct BytesDeserializer: MessageDeserializer {
        func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
            bytes.withUnsafeBytes { Array($0) }
        }
    }
}
