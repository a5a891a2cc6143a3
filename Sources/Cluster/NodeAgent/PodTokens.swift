// The service account tokens that a pod's projected volumes ask for.

import Client
import Formats
import Objects

/// Tokens fetched for one pod, by what was asked. Each ends with the pod.
struct PodTokens: Sendable {
    /// One `serviceAccountToken` source of a projected volume.
    struct Request: Sendable, Hashable {
        static let defaultSeconds = 3600

        var audience: String
        var seconds: Int

        init(_ source: JSON) {
            audience = source["audience"]?.string ?? ""
            seconds = source["expirationSeconds"]?.integer ?? Self.defaultSeconds
        }
    }

    private var tokens: [Request: String] = [:]

    subscript(_ request: Request) -> String? { tokens[request] }

    /// Asks for a token for every different source of the pod's volumes.
    static func fetch(for pod: Object, client: KubernetesClient) async throws(StartFailure) -> PodTokens {
        var fetched = PodTokens()
        for volume in pod.spec["volumes"]?.array ?? [] {
            for source in volume["projected", "sources"]?.array ?? [] {
                guard let asked = source["serviceAccountToken"].map(Request.init), fetched[asked] == nil else { continue }
                fetched.tokens[asked] = try await token(asked, of: pod, client)
            }
        }
        return fetched
    }

    private static func token(
        _ request: Request, of pod: Object, _ client: KubernetesClient
    ) async throws(StartFailure) -> String {
        let account = pod.spec["serviceAccountName"]?.string ?? "default"
        var order = Object([
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "metadata": ["name": .string(account), "namespace": .string(pod.namespace)],
            "spec": [
                "expirationSeconds": JSON(request.seconds),
                "boundObjectRef": [
                    "apiVersion": "v1", "kind": "Pod", "name": .string(pod.name), "uid": .string(pod.uid),
                ],
            ],
        ])
        order["spec", "audiences"] = request.audience.isEmpty ? [] : [.string(request.audience)]
        do {
            let answer = try await client.create(.serviceAccounts, order, subresource: "token")
            return answer.status["token"]?.string ?? ""
        } catch {
            throw StartFailure("FailedMount", "failed to fetch token: \(error)")
        }
    }
}
