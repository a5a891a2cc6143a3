// The controllers of access on their own informers: tokens in Secrets, certificates, aggregated roles.

import Client
import Logging
import Objects
import Reconciling

extension Resource {
    static let clusterRoles = Resource(
        group: "rbac.authorization.k8s.io", version: "v1", kind: "ClusterRole", plural: "clusterroles",
        isNamespaced: false)
    static let certificateRequests = Resource(
        group: "certificates.k8s.io", version: "v1", kind: "CertificateSigningRequest",
        plural: "certificatesigningrequests", isNamespaced: false)
}

/// Runs the controllers that keep credentials and roles in order. The keys stay with whoever made this: it hands in
/// what signs.
package struct AccessLoops: Sendable {
    /// Makes the token that a Secret of this name holds for a service account.
    package typealias MakeToken = @Sendable (_ account: Object, _ secret: String) throws(Problem) -> String
    /// The certificate for an approved request, as PEM; nil when its signer is somebody else. Throws `BadRequest` when
    /// the signer refuses it for good.
    package typealias Sign = @Sendable (_ request: Object) throws(Problem) -> String?

    let client: KubernetesClient
    let rootCertificate: String
    let makeToken: MakeToken
    let sign: Sign
    let clock: WallClock
    let logger: Logger

    package init(
        client: KubernetesClient, rootCertificate: String, makeToken: @escaping MakeToken, sign: @escaping Sign,
        clock: WallClock = .system, logger: Logger
    ) {
        self.client = client
        self.rootCertificate = rootCertificate
        self.makeToken = makeToken
        self.sign = sign
        self.clock = clock
        self.logger = logger
    }

    /// Runs until cancelled. No controller acts before every informer has its first list.
    package func run() async throws {
        let tokens = Selection(fields: "type=\(TokenSecretMachine.type)")
        let secrets = Informer(
            client: client, resource: .secrets, selection: tokens,
            indexes: [TokenSecretController.accountIndex: TokenSecretController.accountIndexer], logger: logger)
        let accounts = Informer(client: client, resource: .serviceAccounts, logger: logger)
        let requests = Informer(client: client, resource: .certificateRequests, logger: logger)
        let roles = Informer(client: client, resource: .clusterRoles, logger: logger)
        let queues = [
            TokenSecretController(
                client: client, secrets: secrets, accounts: accounts, rootCertificate: rootCertificate,
                makeToken: makeToken, logger: logger
            ).connect(),
            CertificateController(client: client, requests: requests, sign: sign, clock: clock, logger: logger)
                .connect(),
            RoleAggregationController(client: client, roles: roles, logger: logger).connect(),
        ]
        let informers = [secrets, accounts, requests, roles]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for informer in informers { group.addTask { await informer.run() } }
            for informer in informers { try await informer.waitUntilSynced() }
            for queue in queues { group.addTask { await queue.run() } }
            try await group.waitForAll()
        }
    }
}
