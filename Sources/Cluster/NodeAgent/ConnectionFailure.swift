// Why a connection failed, in the words that people know from Kubernetes.

import AsyncHTTPClient
import Glibc
import NIO

enum ConnectionFailure {
    /// `dial tcp 10.88.0.5:8080: connect: connection refused`, as Go's net package says it.
    static func words(_ error: any Error, host: String, port: Int) -> String {
        switch error {
        case let error as HTTPClientError where timeouts.contains(error):
            return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        case let error as HTTPClientError where error == .remoteConnectionClosed:
            return "EOF"
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first { return words(first.error, host: host, port: port) }
            return "dial tcp \(host):\(port): connect: no address"
        case let error as IOError where error.errnoCode == ECONNRESET:
            return "read tcp \(host):\(port): read: connection reset by peer"
        case let error as IOError:
            return "dial tcp \(host):\(port): connect: \(String(cString: strerror(error.errnoCode)).lowercased())"
        case ChannelError.connectTimeout:
            return "dial tcp \(host):\(port): i/o timeout"
        default:
            return "\(error)"
        }
    }

    private static let timeouts: [HTTPClientError] = [
        .deadlineExceeded, .connectTimeout, .readTimeout, .getConnectionFromPoolTimeout,
    ]
}
