// The ConfigMaps and Secrets that a pod reads its environment and volumes from.

import Client
import Formats
import Objects

/// What a pod's spec refers to, as fetched just before a container starts.
struct PodSources: Sendable {
    var configMaps: [String: Object] = [:]
    var secrets: [String: Object] = [:]
    var tokens = PodTokens()

    /// Fetches everything that the pod names; what does not exist is left out, and matters only to who needs it.
    static func fetch(for pod: Object, client: KubernetesClient) async throws(StartFailure) -> PodSources {
        let (configMapNames, secretNames) = names(in: pod)
        var sources = PodSources()
        for name in configMapNames.sorted() {
            sources.configMaps[name] = try await get(.configMaps, pod.namespace, name, client)
        }
        for name in secretNames.sorted() {
            sources.secrets[name] = try await get(.secrets, pod.namespace, name, client)
        }
        sources.tokens = try await PodTokens.fetch(for: pod, client: client)
        return sources
    }

    private static func get(
        _ resource: Resource, _ namespace: String, _ name: String, _ client: KubernetesClient
    ) async throws(StartFailure) -> Object? {
        do {
            return try await client.get(resource, ObjectKey(namespace: namespace, name: name))
        } catch let problem as Problem where problem.code == 404 {
            return nil
        } catch {
            throw StartFailure(Self.failureReason, "\(error)")
        }
    }

    static let failureReason = "CreateContainerConfigError"

    /// The names of all ConfigMaps and Secrets that the pod mentions.
    static func names(in pod: Object) -> (configMaps: Set<String>, secrets: Set<String>) {
        var configMaps: Set<String> = []
        var secrets: Set<String> = []
        func note(_ configMap: JSON?, _ secret: JSON?) {
            if let name = configMap?.string { configMaps.insert(name) }
            if let name = secret?.string { secrets.insert(name) }
        }
        for container in (pod.spec["initContainers"]?.array ?? []) + (pod.spec["containers"]?.array ?? []) {
            for variable in container["env"]?.array ?? [] {
                note(
                    variable["valueFrom", "configMapKeyRef", "name"], variable["valueFrom", "secretKeyRef", "name"])
            }
            for source in container["envFrom"]?.array ?? [] {
                note(source["configMapRef", "name"], source["secretRef", "name"])
            }
        }
        for volume in pod.spec["volumes"]?.array ?? [] {
            note(volume["configMap", "name"], volume["secret", "secretName"])
            for source in volume["projected", "sources"]?.array ?? [] {
                note(source["configMap", "name"], source["secret", "name"])
            }
        }
        return (configMaps, secrets)
    }

    /// The entries of a ConfigMap, texts and binary data alike; nil when it does not exist.
    func configMapData(_ name: String) -> [String: [UInt8]]? {
        guard let object = configMaps[name] else { return nil }
        var data = (object["data"]?.stringMap ?? [:]).mapValues { Array($0.utf8) }
        for (key, text) in object["binaryData"]?.stringMap ?? [:] { data[key] = Base64.decode(text) }
        return data
    }

    /// The entries of a Secret; nil when it does not exist.
    func secretData(_ name: String) -> [String: [UInt8]]? {
        guard let object = secrets[name] else { return nil }
        return (object["data"]?.stringMap ?? [:]).compactMapValues { Base64.decode($0) }
    }
}
