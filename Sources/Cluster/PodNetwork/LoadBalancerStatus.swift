// Gives Services of type LoadBalancer this machine's address, since there is nobody else who would.

import Client
import Formats
import Logging
import Objects
import Reconciling
import Timing

/// Writes `status.loadBalancer` of Services that ask for a load balancer of no particular class, and takes it from
/// those that do not ask any more.
final class LoadBalancerStatus: Sendable {
    static let retrySeconds = 5

    private let client: KubernetesClient
    private let address: String
    private let logger: Logger
    private let changed = Signal()

    /// An empty address writes nothing.
    init(client: KubernetesClient, address: String, logger: Logger) {
        self.client = client
        self.address = address
        self.logger = logger
    }

    /// Works until cancelled.
    func run(_ services: Informer) async throws {
        services.onChange { [changed] _ in changed.raise() }
        try await services.waitUntilSynced()
        while !Task.isCancelled {
            var hasFailed = false
            for service in services.list() {
                guard let status = Self.wanted(service, address: address) else { continue }
                do {
                    _ = try await client.patch(
                        .services, service.key, .merge, ["status": ["loadBalancer": status]], subresource: "status")
                } catch let problem as Problem where problem.reason == .notFound {
                    continue
                } catch {
                    hasFailed = true
                    logger.warning("a load balancer's address could not be written", metadata: ["error": "\(error)"])
                }
            }
            await changed.wait(until: hasFailed ? .now + .seconds(Self.retrySeconds) : nil)
        }
    }

    /// The part of the status that is to be written; nil when it is right. Addresses that somebody else gave stay.
    static func wanted(_ service: Object, address: String) -> JSON? {
        let ingress = service.status["loadBalancer", "ingress"]?.array ?? []
        let isMine = ingress.count == 1 && ingress[0]["ip"]?.string == address
        let asks =
            service.spec["type"] == "LoadBalancer" && service.spec["loadBalancerClass"] == nil && !service.isTerminating
        guard !address.isEmpty else { return nil }
        if asks, ingress.isEmpty { return ["ingress": [["ip": .string(address), "ipMode": "VIP"]]] }
        if !asks, isMine { return ["ingress": .null] }
        return nil
    }
}
