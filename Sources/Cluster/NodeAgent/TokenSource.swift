// Tokens of ServiceAccounts for pods: asked for once, kept while they are fresh, and asked for anew in time.

import Client
import Formats
import Objects
import Reconciling
import Synchronization

/// The kubelet's part of TokenRequest: a token is renewed after 80 % of its life, or after a day.
final class TokenSource: Sendable {
    static let usualSeconds = 3600
    static let longestUseSeconds = 24 * 3600
    /// Tokens that are remembered; beyond it the oldest knowledge is dropped and asked for again.
    static let limit = 10_000

    private struct Token {
        var text: String
        var renewAt: Timestamp
    }

    private let clock: WallClock
    private let tokens = Mutex<[String: Token]>([:])

    init(clock: WallClock) { self.clock = clock }

    /// `wish` is the volume's `serviceAccountToken`.
    func token(for pod: Object, _ wish: JSON, client: KubernetesClient) async throws(StartFailure) -> String {
        let account = pod.spec["serviceAccountName"]?.string ?? "default"
        let seconds = wish["expirationSeconds"]?.integer ?? Self.usualSeconds
        let audience = wish["audience"]?.string ?? ""
        let key = "\(pod.uid)/\(account)/\(audience)/\(seconds)"
        let now = clock.now()
        if let known = tokens.withLock({ $0[key] }), known.renewAt > now { return known.text }
        var request = Object(Self.requests, namespace: pod.namespace, name: account)
        request.spec = [
            "expirationSeconds": JSON(seconds), "audiences": audience.isEmpty ? [] : [.string(audience)],
            "boundObjectRef": [
                "kind": "Pod", "apiVersion": "v1", "name": .string(pod.name), "uid": .string(pod.uid),
            ],
        ]
        do {
            let answer = try await client.create(.serviceAccounts, request, subresource: "token")
            guard let text = answer.status["token"]?.string else {
                throw Problem(.internalError, "the answer holds no token")
            }
            let granted = answer.status["expirationTimestamp"]?.string.flatMap { Timestamp(rfc3339: $0) }
            let life = granted.map { $0 - now } ?? .seconds(seconds)
            let fresh = Token(text: text, renewAt: now + min(life / 10 * 8, .seconds(Self.longestUseSeconds)))
            tokens.withLock { tokens in
                if tokens.count >= Self.limit { tokens = [:] }
                tokens[key] = fresh
            }
            return text
        } catch {
            throw StartFailure("FailedMount", "failed to fetch token of serviceaccount \"\(account)\": \(error)")
        }
    }

    private static let requests = Resource(
        group: "authentication.k8s.io", version: "v1", kind: "TokenRequest", plural: "tokenrequests")
}
