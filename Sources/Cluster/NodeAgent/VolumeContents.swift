// What files a volume of a ConfigMap, a Secret, the pod itself or several of these consists of.

import Formats
import Objects

/// Turns a volume's sources into files; pure, so that what changed can be seen by comparing.
struct VolumeContents: Sendable {
    let sources: PodSources
    let fields: DownwardFields

    /// The files of a volume, or nil when it is of another kind.
    func files(of volume: JSON) throws(StartFailure) -> [VolumeFile]? {
        if let configMap = volume["configMap"] {
            return try entries(configMap, name: configMap["name"], "configmap", sources.configMapData)
        }
        if let secret = volume["secret"] {
            return try entries(secret, name: secret["secretName"], "secret", sources.secretData)
        }
        if let downward = volume["downwardAPI"] { return try entries(downward: downward) }
        guard let projected = volume["projected"] else { return nil }
        var files: [VolumeFile] = []
        for (position, source) in (projected["sources"]?.array ?? []).enumerated() {
            files += try entries(projected: source, volume: volume["name"]?.string ?? "", position)
        }
        // Of two sources with the same path the later one counts.
        var byPath: [String: VolumeFile] = [:]
        for file in files { byPath[file.path] = file }
        return byPath.keys.sorted().compactMap { byPath[$0] }
    }

    static func defaultMode(of volume: JSON) -> Int {
        let tree = volume["configMap"] ?? volume["secret"] ?? volume["downwardAPI"] ?? volume["projected"]
        return tree?["defaultMode"]?.integer ?? 0o644
    }

    private func entries(
        _ tree: JSON, name: JSON?, _ kind: String, _ data: (String) -> [String: [UInt8]]?
    ) throws(StartFailure) -> [VolumeFile] {
        let name = name?.string ?? ""
        let isOptional = tree["optional"]?.bool == true
        guard let data = data(name) else {
            if isOptional { return [] }
            throw StartFailure("", "\(kind) \"\(name)\" not found")
        }
        guard let items = tree["items"]?.array, !items.isEmpty else {
            return data.keys.sorted().map { VolumeFile(path: $0, content: data[$0] ?? []) }
        }
        var files: [VolumeFile] = []
        for item in items {
            let key = item["key"]?.string ?? ""
            if let content = data[key] {
                files.append(
                    VolumeFile(path: item["path"]?.string ?? key, content: content, mode: item["mode"]?.integer))
            } else if !isOptional {
                throw StartFailure("", "references non-existent \(kind) key: \(key)")
            }
        }
        return files
    }

    private func entries(downward tree: JSON) throws(StartFailure) -> [VolumeFile] {
        var files: [VolumeFile] = []
        for item in tree["items"]?.array ?? [] {
            let path = item["path"]?.string ?? ""
            let value: String?
            if let field = item["fieldRef", "fieldPath"]?.string {
                value = fields.value(at: field)
            } else if let resource = item["resourceFieldRef"] {
                value = try fields.resource(resource, of: nil)
            } else {
                value = nil
            }
            guard let value else { throw StartFailure("", "downwardAPI item \(path) names nothing that is known") }
            files.append(VolumeFile(path: path, content: Array(value.utf8), mode: item["mode"]?.integer))
        }
        return files
    }

    private func entries(projected source: JSON, volume: String, _ position: Int) throws(StartFailure) -> [VolumeFile] {
        if let configMap = source["configMap"] {
            return try entries(configMap, name: configMap["name"], "configmap", sources.configMapData)
        }
        if let secret = source["secret"] {
            return try entries(secret, name: secret["name"], "secret", sources.secretData)
        }
        if let downward = source["downwardAPI"] { return try entries(downward: downward) }
        if let token = source["serviceAccountToken"] {
            guard let text = sources.tokens[PodSources.tokenKey(volume, position)] else {
                throw StartFailure("", "the API gave no token for the pod's service account")
            }
            return [VolumeFile(path: token["path"]?.string ?? "token", content: Array(text.utf8))]
        }
        let kind = source.object?.keys.first ?? "none"
        throw StartFailure("", "projected sources of kind \(kind) are not supported")
    }
}
