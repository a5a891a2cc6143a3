// How much a pod's volumes on disk may hold, and whether they hold more.

import Formats
import Glibc
import Objects

/// The `sizeLimit` of each emptyDir on disk; one in memory is kept to its size by the kernel.
struct VolumeLimits: Sendable {
    /// As often as upstream's kubelet looks (`eviction monitoring`).
    static let period = Duration.seconds(10)

    private struct Limit: Sendable {
        let name: String
        let text: String
        let bytes: Int64
        let path: String
    }

    private let limits: [Limit]

    init(of pod: Object, paths: PodPaths) {
        limits = (pod.spec["volumes"]?.array ?? []).compactMap { volume in
            guard let name = volume["name"]?.string, let empty = volume["emptyDir"], empty["medium"]?.string != "Memory",
                let quantity = ContainerResources.quantity(empty["sizeLimit"]), quantity.value > 0
            else { return nil }
            let text = empty["sizeLimit"]?.string ?? empty["sizeLimit"]?.text ?? ""
            return Limit(name: name, text: text, bytes: quantity.value, path: paths.volume(name))
        }
    }

    /// Why the pod must go, in upstream's words; nil when everything is within its limits.
    func excess() async -> String? {
        for limit in limits {
            await Task.yield()
            if Files.usedBytes(limit.path) > limit.bytes {
                return "Usage of EmptyDir volume \"\(limit.name)\" exceeds the limit \"\(limit.text)\". "
            }
        }
        return nil
    }
}

extension Files {
    /// What a tree takes of the disk, in one file system, following no link.
    static func usedBytes(_ path: String) -> Int64 {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { return 0 }
        var sum = Int64(facts.st_blocks) * 512
        if facts.st_mode & S_IFMT == S_IFDIR {
            for name in names(in: path) { sum += usedBytes("\(path)/\(name)") }
        }
        return sum
    }
}
