// How much of the disk a pod may take, in its volumes and beside them, and whether it takes more.

import Formats
import Glibc
import Objects

/// The `sizeLimit` of each emptyDir on disk (one in memory is kept to its size by the kernel) and the limits of
/// `ephemeral-storage`: of each container, for what it writes outside volumes and its logs, and of the pod, for these
/// and its emptyDirs together. After `pkg/kubelet/eviction` (localStorageEviction), in its words.
struct StorageLimits: Sendable {
    /// As often as upstream's kubelet looks (`eviction monitoring`).
    static let period = Duration.seconds(10)

    private struct Limit: Sendable {
        let name: String
        let text: String
        let bytes: Int64
    }

    private let volumes: [Limit]
    private let containers: [Limit]
    private let total: Limit?
    private let paths: PodPaths
    /// EmptyDirs on disk.
    private let ownVolumes: [String]

    init(of pod: Object, paths: PodPaths) {
        self.paths = paths
        let emptied = (pod.spec["volumes"]?.array ?? []).filter {
            $0["emptyDir"] != nil && $0["emptyDir", "medium"]?.string != "Memory"
        }
        ownVolumes = emptied.compactMap { $0["name"]?.string }
        volumes = emptied.compactMap { Self.limit($0["emptyDir", "sizeLimit"], of: $0) }
        let initial = pod.spec["initContainers"]?.array ?? []
        let all = (pod.spec["containers"]?.array ?? []) + initial
        containers = all.compactMap { Self.limit($0["resources", "limits", "ephemeral-storage"], of: $0) }
        let lasting = Set(ResizeRoom.lasting(pod).compactMap { $0["name"]?.string })
        let together = containers.filter { lasting.contains($0.name) }.reduce(0 as Int64) { $0 + $1.bytes }
        let most = max(together, containers.filter { !lasting.contains($0.name) }.map(\.bytes).max() ?? 0)
        total = most > 0 ? Limit(name: "", text: Self.text(most), bytes: most) : nil
    }

    /// Whether there is anything to look at.
    var isEmpty: Bool { volumes.isEmpty && containers.isEmpty }

    /// Why the pod must go; nil when everything is within its limits. `written` says what each container, by name, has
    /// written outside volumes.
    func excess(written: () async -> [String: Int64]) async -> String? {
        for limit in volumes {
            await Task.yield()
            if Files.usedBytes(paths.volume(limit.name)) > limit.bytes {
                return "Usage of EmptyDir volume \"\(limit.name)\" exceeds the limit \"\(limit.text)\". "
            }
        }
        guard let total else { return nil }
        var used = await written()
        for name in Files.names(in: paths.logs) { used[name, default: 0] += Files.usedBytes("\(paths.logs)/\(name)") }
        var sum = used.values.reduce(0, +)
        for name in ownVolumes { sum += Files.usedBytes(paths.volume(name)) }
        if sum > total.bytes {
            return "Pod ephemeral local storage usage exceeds the total limit of containers \(total.text). "
        }
        for limit in containers where used[limit.name, default: 0] > limit.bytes {
            return "Container \(limit.name) exceeded its local ephemeral storage limit \"\(limit.text)\". "
        }
        return nil
    }

    private static func limit(_ value: JSON?, of named: JSON) -> Limit? {
        guard let name = named["name"]?.string, let quantity = ContainerResources.quantity(value), quantity.value > 0
        else {
            return nil
        }
        return Limit(name: name, text: value?.string ?? value?.text ?? "", bytes: quantity.value)
    }

    /// In the largest unit that needs no fraction.
    private static func text(_ bytes: Int64) -> String {
        for (unit, size) in [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)] as [(String, Int64)]
        where bytes % size == 0 {
            return "\(bytes / size)\(unit)"
        }
        return "\(bytes)"
    }
}

extension Files {
    /// What a tree takes of the disk, following no link.
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
