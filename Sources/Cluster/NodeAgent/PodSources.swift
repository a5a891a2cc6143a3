// Everything outside a pod that its environment and volumes are made from.

import Client
import Formats
import Objects

/// What a pod's spec refers to, as fetched just before a container starts.
struct PodSources: Sendable {
    var configMaps: [String: Object] = [:]
    var secrets: [String: Object] = [:]
    /// Tokens of the pod's ServiceAccount, by `tokenKey`.
    var tokens: [String: String] = [:]
    /// By claim: the volume that it is bound to, or nil.
    var claims: [String: Object?] = [:]
    /// The Services of the pod's namespace, for its environment.
    var services: [Object] = []

    static let failureReason = "CreateContainerConfigError"

    /// Fetches everything that the pod names; what does not exist is left out, and matters only to who needs it.
    static func fetch(for pod: Object, client: KubernetesClient, tokens: TokenSource) async throws(StartFailure)
        -> PodSources
    {
        let names = SourceNames(in: pod)
        var sources = PodSources()
        for name in names.configMaps.sorted() {
            sources.configMaps[name] = try await get(.configMaps, pod.namespace, name, client)
        }
        for name in names.secrets.sorted() {
            sources.secrets[name] = try await get(.secrets, pod.namespace, name, client)
        }
        for name in names.claims.sorted() {
            guard let claim = try await get(Self.claims, pod.namespace, name, client) else { continue }
            var volume: Object?
            if let bound = claim.spec["volumeName"]?.string, !bound.isEmpty, claim.status["phase"] == "Bound" {
                volume = try await get(Self.volumes, "", bound, client)
            }
            sources.claims[name] = .some(volume)
        }
        for volume in pod.spec["volumes"]?.array ?? [] {
            let name = volume["name"]?.string ?? ""
            for (position, source) in (volume["projected", "sources"]?.array ?? []).enumerated() {
                guard let wish = source["serviceAccountToken"] else { continue }
                sources.tokens[tokenKey(name, position)] = try await tokens.token(for: pod, wish, client: client)
            }
        }
        do {
            sources.services = try await client.list(.services, Selection(namespace: pod.namespace)).objects
        } catch {
            throw StartFailure(failureReason, "the services cannot be listed: \(error)")
        }
        return sources
    }

    static func tokenKey(_ volume: String, _ position: Int) -> String { "\(volume)/\(position)" }

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

    private static let claims = Resource(
        group: "", version: "v1", kind: "PersistentVolumeClaim", plural: "persistentvolumeclaims")
    private static let volumes = Resource(
        group: "", version: "v1", kind: "PersistentVolume", plural: "persistentvolumes", isNamespaced: false)

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

    /// The host directory behind a claim.
    func claimed(_ name: String) throws(StartFailure) -> (path: String, type: String) {
        guard let claim = claims[name] else { throw StartFailure("", "persistentvolumeclaim \"\(name)\" not found") }
        guard let volume = claim else { throw StartFailure("", "persistentvolumeclaim \"\(name)\" is not bound yet") }
        if let path = volume.spec["hostPath", "path"]?.string {
            return (path, volume.spec["hostPath", "type"]?.string ?? "DirectoryOrCreate")
        }
        if let path = volume.spec["local", "path"]?.string { return (path, "Directory") }
        throw StartFailure("", "persistent volume \"\(volume.name)\" is neither hostPath nor local")
    }
}

/// The names of all that a pod mentions.
struct SourceNames: Sendable {
    private(set) var configMaps: Set<String> = []
    private(set) var secrets: Set<String> = []
    private(set) var claims: Set<String> = []

    init(in pod: Object) {
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            for container in pod.spec[list]?.array ?? [] {
                for variable in container["env"]?.array ?? [] {
                    note(
                        variable["valueFrom", "configMapKeyRef", "name"], variable["valueFrom", "secretKeyRef", "name"])
                }
                for source in container["envFrom"]?.array ?? [] {
                    note(source["configMapRef", "name"], source["secretRef", "name"])
                }
            }
        }
        for volume in pod.spec["volumes"]?.array ?? [] {
            note(volume["configMap", "name"], volume["secret", "secretName"])
            if let claim = volume["persistentVolumeClaim", "claimName"]?.string { claims.insert(claim) }
            for source in volume["projected", "sources"]?.array ?? [] {
                note(source["configMap", "name"], source["secret", "name"])
            }
        }
    }

    private mutating func note(_ configMap: JSON?, _ secret: JSON?) {
        if let name = configMap?.string { configMaps.insert(name) }
        if let name = secret?.string { secrets.insert(name) }
    }
}
