// Makes a pod's volumes on the host: empty directories, and files from ConfigMaps, Secrets and the pod itself.

import Formats
import Objects

/// Where each volume of a pod is on the host.
///
/// Files are written anew whenever a container of the pod starts; a ConfigMap that changes in between shows only then.
struct PodVolumes: Sendable {
    private(set) var hostPaths: [String: String] = [:]

    /// Makes every volume of the pod. Throws for kinds that are not supported and for sources that are missing.
    init(of pod: Object, paths: PodPaths, sources: PodSources, fields: DownwardFields) throws(StartFailure) {
        for volume in pod.spec["volumes"]?.array ?? [] {
            guard let name = volume["name"]?.string else { continue }
            do {
                hostPaths[name] = try Self.make(volume, at: paths.volume(name), sources, fields)
            } catch let failure as StartFailure {
                throw StartFailure(
                    "FailedMount", "MountVolume.SetUp failed for volume \"\(name)\" : \(failure.message)")
            } catch {
                throw StartFailure("FailedMount", "MountVolume.SetUp failed for volume \"\(name)\" : \(error)")
            }
        }
    }

    private static func make(
        _ volume: JSON, at path: String, _ sources: PodSources, _ fields: DownwardFields
    ) throws -> String {
        if let host = volume["hostPath"] { return try hostPath(host) }
        if volume["emptyDir"] != nil {
            try Files.makeDirectory(path, mode: 0o777)
            return path
        }
        var files: [VolumeFile] = []
        if let configMap = volume["configMap"] {
            files = try entries(configMap, name: configMap["name"], "configmap", sources.configMapData)
        } else if let secret = volume["secret"] {
            files = try entries(secret, name: secret["secretName"], "secret", sources.secretData)
        } else if let downward = volume["downwardAPI"] {
            files = try entries(downward: downward, fields)
        } else if let projected = volume["projected"] {
            for source in projected["sources"]?.array ?? [] {
                files += try entries(projected: source, sources, fields)
            }
        } else {
            let kind = volume.object?.keys.first { $0 != "name" } ?? "none"
            throw StartFailure("", "volumes of kind \(kind) are not supported")
        }
        let mode = (volume["configMap"] ?? volume["secret"] ?? volume["downwardAPI"] ?? volume["projected"])?[
            "defaultMode"]
        try Files.makeDirectory(path)
        for file in files {
            guard !file.path.split(separator: "/").contains("..") else {
                throw StartFailure("", "the path \(file.path) leads out of the volume")
            }
            if let slash = file.path.lastIndex(of: "/") { try Files.makeDirectory("\(path)/\(file.path[..<slash])") }
            try Files.write(
                file.content, to: "\(path)/\(file.path)", mode: UInt32(file.mode ?? mode?.integer ?? 0o644))
        }
        return path
    }

    private static func hostPath(_ tree: JSON) throws -> String {
        let path = tree["path"]?.string ?? ""
        switch tree["type"]?.string ?? "" {
        case "DirectoryOrCreate":
            try Files.makeDirectory(path)
        case "FileOrCreate":
            if !Files.exists(path) { try Files.write([], to: path, mode: 0o644) }
        case "Directory":
            if !Files.isDirectory(path) {
                throw StartFailure("", "hostPath type check failed: \(path) is not a directory")
            }
        case "File":
            if !Files.exists(path) || Files.isDirectory(path) {
                throw StartFailure("", "hostPath type check failed: \(path) is not a file")
            }
        default:
            if !Files.exists(path) { try Files.makeDirectory(path) }
        }
        return path
    }

    /// One file of a volume; its mode unless the volume's default holds.
    private struct VolumeFile {
        var path: String
        var content: [UInt8]
        var mode: Int?
    }

    private static func entries(
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

    private static func entries(downward tree: JSON, _ fields: DownwardFields) throws(StartFailure) -> [VolumeFile] {
        var files: [VolumeFile] = []
        for item in tree["items"]?.array ?? [] {
            guard let path = item["fieldRef", "fieldPath"]?.string, let value = fields.value(at: path) else {
                throw StartFailure("", "downwardAPI item \(item["path"]?.string ?? "") is not supported")
            }
            files.append(
                VolumeFile(path: item["path"]?.string ?? "", content: Array(value.utf8), mode: item["mode"]?.integer))
        }
        return files
    }

    private static func entries(
        projected source: JSON, _ sources: PodSources, _ fields: DownwardFields
    ) throws(StartFailure) -> [VolumeFile] {
        if let configMap = source["configMap"] {
            return try entries(configMap, name: configMap["name"], "configmap", sources.configMapData)
        }
        if let secret = source["secret"] {
            return try entries(secret, name: secret["name"], "secret", sources.secretData)
        }
        if let downward = source["downwardAPI"] { return try entries(downward: downward, fields) }
        if let token = source["serviceAccountToken"] {
            guard let content = sources.tokens[PodTokens.Request(token)] else {
                throw StartFailure("", "no token was fetched for \(token["path"]?.string ?? "")")
            }
            return [VolumeFile(path: token["path"]?.string ?? "token", content: Array(content.utf8))]
        }
        let kind = source.object?.keys.first ?? "none"
        throw StartFailure("", "projected sources of kind \(kind) are not supported")
    }
}
