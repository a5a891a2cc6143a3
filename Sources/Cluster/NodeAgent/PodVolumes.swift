// Makes a pod's volumes on the host, and says what of them only the pod's sandbox can make.

import ContainerRuntimes
import Formats
import Glibc
import Objects

/// Where each volume of a pod is on the host.
struct PodVolumes: Sendable {
    private(set) var hostPaths: [String: String] = [:]
    /// Volumes in memory, which live in the sandbox's own view of the host: nothing of them can be left behind.
    private(set) var inMemory: [SandboxConfig.MemoryVolume] = []
    /// Volumes whose claim lets nobody write.
    private(set) var readOnly: Set<String> = []

    /// Makes every volume of the pod. Throws for kinds that are not supported and for sources that are missing.
    init(of pod: Object, paths: PodPaths, sources: PodSources, fields: DownwardFields, stamp: String)
        throws(StartFailure)
    {
        let contents = VolumeContents(sources: sources, fields: fields)
        let group = pod.spec["securityContext", "fsGroup"]?.integer
        for volume in pod.spec["volumes"]?.array ?? [] {
            guard let name = volume["name"]?.string else { continue }
            do {
                if let files = try contents.files(of: volume) {
                    let directory = VolumeDirectory(
                        path: paths.volume(name), defaultMode: VolumeContents.defaultMode(of: volume), group: group)
                    try directory.write(files, stamp: stamp)
                    hostPaths[name] = directory.path
                } else {
                    hostPaths[name] = try make(volume, name, paths, sources, group: group)
                }
            } catch let failure as StartFailure {
                throw Self.failure(name, failure.message)
            } catch let problem as Problem {
                throw Self.failure(name, problem.message)
            } catch {
                throw Self.failure(name, "\(error)")
            }
        }
    }

    private static func failure(_ name: String, _ message: String) -> StartFailure {
        StartFailure("FailedMount", "MountVolume.SetUp failed for volume \"\(name)\" : \(message)")
    }

    private mutating func make(
        _ volume: JSON, _ name: String, _ paths: PodPaths, _ sources: PodSources, group: Int?
    ) throws -> String {
        if let host = volume["hostPath"] {
            return try Self.hostPath(host["path"]?.string ?? "", type: host["type"]?.string ?? "")
        }
        if let empty = volume["emptyDir"] {
            let path = paths.volume(name)
            try Files.makeDirectory(path, mode: 0o777)
            if let medium = empty["medium"]?.string, medium == "Memory" {
                let limit = try empty["sizeLimit"].map { try Quantity(parsing: $0.string ?? $0.text).value }
                inMemory.append(.init(path: path, sizeBytes: limit, group: group.map { UInt32(clamping: $0) }))
            } else if let medium = empty["medium"]?.string, !medium.isEmpty {
                throw StartFailure("", "emptyDir of medium \(medium) is not supported")
            } else if let group {
                Files.give(path, to: group)
            }
            return path
        }
        if let claim = volume["persistentVolumeClaim"] {
            let claimed = try sources.claimed(claim["claimName"]?.string ?? "")
            if claim["readOnly"]?.bool == true { readOnly.insert(name) }
            let path = try Self.hostPath(claimed.path, type: claimed.type)
            if let group { Files.give(path, to: group) }
            return path
        }
        let kind = volume.object?.keys.first { $0 != "name" } ?? "none"
        throw StartFailure("", "volumes of kind \(kind) are not supported on this node")
    }

    private static func hostPath(_ path: String, type: String) throws -> String {
        func check(_ kind: mode_t, _ words: String) throws {
            if Files.kind(path) != kind {
                throw StartFailure("", "hostPath type check failed: \(path) is not \(words)")
            }
        }
        switch type {
        case "DirectoryOrCreate":
            if Files.kind(path) == 0 { try Files.makeDirectory(path) }
            try check(S_IFDIR, "a directory")
        case "FileOrCreate":
            if !Files.exists(path) { try Files.write([], to: path, mode: 0o644) }
            try check(S_IFREG, "a file")
        case "Directory": try check(S_IFDIR, "a directory")
        case "File": try check(S_IFREG, "a file")
        case "Socket": try check(S_IFSOCK, "a socket file")
        case "CharDevice": try check(S_IFCHR, "a character device")
        case "BlockDevice": try check(S_IFBLK, "a block device")
        case "":
            if !Files.exists(path) { try Files.makeDirectory(path) }
        default:
            throw StartFailure("", "hostPath type \(type) is not known")
        }
        return path
    }
}
