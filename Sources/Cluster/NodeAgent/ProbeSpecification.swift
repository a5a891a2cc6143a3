// What a probe of a container asks, how often, and how many answers decide (`core/v1 Probe`).

import Formats

/// The three questions that the agent asks a running container.
package enum ProbeKind: String, Sendable, Hashable, CaseIterable {
    case startup, readiness, liveness

    /// The member of a container that holds the probe.
    var field: String { rawValue + "Probe" }
    /// `Liveness`: the word in events.
    var title: String { rawValue.prefix(1).uppercased() + rawValue.dropFirst() }
}

/// A probe with upstream's defaults filled in and its port resolved.
package struct ProbeSpecification: Sendable, Hashable {
    package enum Check: Sendable, Hashable {
        /// A GET; an answer of 200 up to 399 is a success. An empty host means the pod's address.
        case http(isSecure: Bool, host: String, port: Int, path: String, headers: [Header])
        /// A connection that opens is a success.
        case tcp(host: String, port: Int)
        /// A command in the container; exit code 0 is a success.
        case execute(command: [String])
        /// The gRPC health service answers SERVING.
        case health(port: Int, service: String)
        /// A kind of check that cannot be made; it fails each time with this message.
        case impossible(String)
    }

    package struct Header: Sendable, Hashable {
        package var name: String
        package var value: String
    }

    package var check: Check
    package var initialDelaySeconds: Int
    package var periodSeconds: Int
    package var timeoutSeconds: Int
    package var successThreshold: Int
    package var failureThreshold: Int
    /// How long a container that failed this probe has to stop; nil means the pod's grace period.
    package var terminationGracePeriodSeconds: Int?

    /// Reads a probe; `ports` are the container's named ports.
    package init(_ tree: JSON, ports: [String: Int]) {
        check = Check(tree, ports: ports)
        initialDelaySeconds = max(0, tree["initialDelaySeconds"]?.integer ?? 0)
        periodSeconds = Self.positive(tree["periodSeconds"], or: 10)
        timeoutSeconds = Self.positive(tree["timeoutSeconds"], or: 1)
        successThreshold = Self.positive(tree["successThreshold"], or: 1)
        failureThreshold = Self.positive(tree["failureThreshold"], or: 3)
        terminationGracePeriodSeconds = tree["terminationGracePeriodSeconds"]?.integer
    }

    private static func positive(_ value: JSON?, or usual: Int) -> Int {
        guard let value = value?.integer, value > 0 else { return usual }
        return value
    }
}

extension ProbeSpecification.Check {
    init(_ tree: JSON, ports: [String: Int]) {
        if let http = tree["httpGet"] {
            guard let port = Self.port(http["port"], ports) else {
                self = .impossible("the port \(http["port"]?.text ?? "") of httpGet is no port of the container")
                return
            }
            let path = http["path"]?.string ?? "/"
            let headers = (http["httpHeaders"]?.array ?? []).map {
                ProbeSpecification.Header(name: $0["name"]?.string ?? "", value: $0["value"]?.string ?? "")
            }
            self = .http(
                isSecure: http["scheme"]?.string == "HTTPS", host: http["host"]?.string ?? "", port: port,
                path: path.hasPrefix("/") ? path : "/" + path, headers: headers)
        } else if let tcp = tree["tcpSocket"] {
            guard let port = Self.port(tcp["port"], ports) else {
                self = .impossible("the port \(tcp["port"]?.text ?? "") of tcpSocket is no port of the container")
                return
            }
            self = .tcp(host: tcp["host"]?.string ?? "", port: port)
        } else if let command = tree["exec", "command"]?.strings {
            self = .execute(command: command)
        } else if let grpc = tree["grpc"], let port = Self.port(grpc["port"], ports) {
            self = .health(port: port, service: grpc["service"]?.string ?? "")
        } else {
            self = .impossible("the probe names no httpGet, tcpSocket or exec")
        }
    }

    private static func port(_ value: JSON?, _ ports: [String: Int]) -> Int? {
        guard let value else { return nil }
        if let number = value.integer { return number }
        guard let text = value.string else { return nil }
        return Int(text) ?? ports[text]
    }
}

/// What one asking of a probe found.
package enum ProbeResult: Sendable, Hashable {
    case success
    case failure(String)
}
