// Fills Secrets of type `kubernetes.io/service-account-token` and takes them away with their account
// (upstream: pkg/controller/serviceaccount/tokens_controller.go).

import Client
import Formats
import Logging
import Objects
import Reconciling

/// Decides what becomes of one token Secret.
enum TokenSecretMachine {
    static let type = "kubernetes.io/service-account-token"
    static let nameAnnotation = "kubernetes.io/service-account.name"
    static let uidAnnotation = "kubernetes.io/service-account.uid"

    enum Decision: Sendable, Equatable {
        case nothing
        /// Its account is gone, or was made anew.
        case delete
        /// The uid goes into the annotation, `lacking` into the data; the token is made by whoever has the key.
        case fill(lacking: [String: String], needsToken: Bool)
    }

    /// `account` is the one that the Secret names, as it is now.
    static func decide(_ secret: Object, account: Object?, rootCertificate: String) -> Decision {
        guard secret["type"]?.string == type, secret.annotations[nameAnnotation] != nil, !secret.isTerminating else {
            return .nothing
        }
        let uid = secret.annotations[uidAnnotation]
        guard let account, uid == nil || uid?.isEmpty == true || uid == account.uid else { return .delete }
        let data = secret["data"]?.stringMap ?? [:]
        var lacking: [String: String] = [:]
        if data["ca.crt"] != Base64.encode(Array(rootCertificate.utf8)) { lacking["ca.crt"] = rootCertificate }
        if (data["namespace"] ?? "").isEmpty { lacking["namespace"] = secret.namespace }
        let needsToken = (data["token"] ?? "").isEmpty
        if uid == account.uid, lacking.isEmpty, !needsToken { return .nothing }
        return .fill(lacking: lacking, needsToken: needsToken)
    }
}

/// The shell of `TokenSecretMachine`.
struct TokenSecretController: Sendable {
    static let accountIndex = "account"
    static let accountIndexer: Indexer = { secret in
        secret.annotations[TokenSecretMachine.nameAnnotation].map { ["\(secret.namespace)/\($0)"] } ?? []
    }

    let client: KubernetesClient
    let secrets: Informer
    let accounts: Informer
    let rootCertificate: String
    let makeToken: AccessLoops.MakeToken
    let logger: Logger

    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "service-account-tokens", logger: logger, reconcile: reconcile)
        secrets.onChange { reconciler.enqueue($0.key) }
        accounts.onChange { change in
            let value = "\(change.key.namespace)/\(change.key.name)"
            for secret in secrets.indexed(Self.accountIndex, value) { reconciler.enqueue(secret.key) }
        }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let secret = secrets.get(key), let name = secret.annotations[TokenSecretMachine.nameAnnotation] else {
            return .done
        }
        // Asked live: a cache that is behind must not cost a Secret its life.
        let account = try await account(ObjectKey(namespace: key.namespace, name: name))
        switch TokenSecretMachine.decide(secret, account: account, rootCertificate: rootCertificate) {
        case .nothing: break
        case .delete:
            do {
                _ = try await client.delete(.secrets, key, uid: secret.uid)
            } catch let problem as Problem where problem.reason == .notFound {}
        case .fill(let lacking, let needsToken):
            guard let account else { break }
            var data = JSON(stringMap: lacking.mapValues { Base64.encode(Array($0.utf8)) })
            if needsToken { data["token"] = .string(Base64.encode(Array(try makeToken(account, key.name).utf8))) }
            let patch: JSON = [
                "metadata": [
                    "uid": .string(secret.uid), "resourceVersion": .string(secret.resourceVersion),
                    "annotations": .object(JSONObject([(TokenSecretMachine.uidAnnotation, .string(account.uid))])),
                ],
                "data": data,
            ]
            _ = try await client.patch(.secrets, key, .merge, patch)
        }
        return .done
    }

    private func account(_ key: ObjectKey) async throws -> Object? {
        do {
            return try await client.get(.serviceAccounts, key)
        } catch let problem as Problem where problem.reason == .notFound {
            return nil
        }
    }
}
