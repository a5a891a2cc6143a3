// Gives every fresh pod its service account and the credentials of it
// (upstream: plugin/pkg/admission/serviceaccount/admission.go).

import Access
import Formats
import Objects

/// What a service account means to a pod; pure.
enum AccountAdmission {
    static let mirrorAnnotation = "kubernetes.io/config.mirror"
    static let defaultAccount = "default"
    /// Where programs look for their credentials.
    static let mountPath = "/var/run/secrets/kubernetes.io/serviceaccount"
    static let volumePrefix = "kube-api-access-"
    static let rootCertificateName = "kube-root-ca.crt"

    /// Why a mirror pod may not be what it is; nil for one that may.
    static func mirrorFault(_ pod: Object) -> String? {
        if !(pod["spec", "serviceAccountName"]?.string ?? "").isEmpty {
            return "a mirror pod may not reference service accounts"
        }
        for volume in pod.spec["volumes"]?.array ?? [] {
            if volume["secret"] != nil { return "a mirror pod may not reference secrets" }
            let sources = volume["projected", "sources"]?.array ?? []
            if sources.contains(where: { $0["serviceAccountToken"] != nil }) {
                return "a mirror pod may not use ServiceAccountToken volume projections"
            }
        }
        return nil
    }

    /// Adds what the account brings: the volume with its credentials, unless pod or account decline it or a container
    /// mounts something else there, and the secrets for pulling images where the pod names none.
    static func complete(_ pod: inout Object, with account: Object, suffix: String) {
        let automounts = pod["spec", "automountServiceAccountToken"] ?? account["automountServiceAccountToken"]
        if automounts?.bool != false { mountCredentials(&pod, suffix: suffix) }
        if (pod.spec["imagePullSecrets"]?.array ?? []).isEmpty,
            let secrets = account["imagePullSecrets"]?.array, !secrets.isEmpty
        {
            pod["spec", "imagePullSecrets"] = .array(secrets)
        }
    }

    private static func mountCredentials(_ pod: inout Object, suffix: String) {
        let volumes = pod.spec["volumes"]?.array ?? []
        // A pod that was written out of another carries its volume; it is used again.
        let carried = volumes.first { volume in
            (volume["name"]?.string ?? "").hasPrefix(volumePrefix) && volume["projected"] != nil
        }
        let name = carried?["name"]?.string ?? volumePrefix + suffix
        let mount: JSON = ["name": .string(name), "readOnly": true, "mountPath": .string(mountPath)]
        var isMounted = false
        for list in ["initContainers", "containers"] {
            pod.tree.edit("spec") { spec in
                spec.editEach(list) { container in
                    let mounts = container["volumeMounts"]?.array ?? []
                    if mounts.contains(where: { $0["mountPath"]?.string == mountPath }) { return }
                    container["volumeMounts"] = .array(mounts + [mount])
                    isMounted = true
                }
            }
        }
        if isMounted, carried == nil { pod["spec", "volumes"] = .array(volumes + [volume(name)]) }
    }

    private static func volume(_ name: String) -> JSON {
        [
            "name": .string(name),
            "projected": [
                "sources": [
                    [
                        "serviceAccountToken": [
                            "expirationSeconds": .integer(ServiceAccountTokens.podVolumeSeconds), "path": "token",
                        ]
                    ],
                    [
                        "configMap": [
                            "name": .string(rootCertificateName), "items": [["key": "ca.crt", "path": "ca.crt"]],
                        ]
                    ],
                    [
                        "downwardAPI": [
                            "items": [
                                [
                                    "path": "namespace",
                                    "fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.namespace"],
                                ]
                            ]
                        ]
                    ],
                ],
                "defaultMode": 420,
            ],
        ]
    }
}

extension KubernetesAPI {
    /// How often, and how far apart, the account `default` of a fresh namespace is waited for.
    private static let accountAttempts = 10
    private static let accountInterval = Duration.milliseconds(100)

    /// Completes a fresh pod with its service account. Servers that issue no tokens leave pods as they are.
    func admitAccount(_ pod: inout Object, of resource: Resource) async throws {
        guard resource == .pods, access.tokens != nil else { return }
        if pod.annotations[AccountAdmission.mirrorAnnotation] != nil {
            if let why = AccountAdmission.mirrorFault(pod) { throw Problem.forbidden(resource, pod.name, why) }
            return
        }
        let given = pod["spec", "serviceAccountName"]?.string ?? pod["spec", "serviceAccount"]?.string ?? ""
        let name = given.isEmpty ? AccountAdmission.defaultAccount : given
        guard let account = try await account(name, in: pod.namespace) else {
            throw Problem.forbidden(
                resource, pod.name,
                "error looking up service account \(pod.namespace)/\(name): serviceaccount \"\(name)\" not found")
        }
        pod["spec", "serviceAccountName"] = .string(name)
        pod["spec", "serviceAccount"] = .string(name)
        AccountAdmission.complete(&pod, with: account, suffix: environment.makeNameSuffix())
    }

    private func account(_ name: String, in namespace: String) async throws -> Object? {
        for attempt in 1...Self.accountAttempts {
            if let (account, _) = try records.get(.serviceAccounts, namespace: namespace, name: name) { return account }
            // Only `default` comes by itself, soon after its namespace.
            if name != AccountAdmission.defaultAccount || attempt == Self.accountAttempts { break }
            try await Task.sleep(for: Self.accountInterval)
        }
        return nil
    }
}
