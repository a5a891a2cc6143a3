// Whether mounts that the machine makes later can reach a container.

/// Reads `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
enum MountPropagation {
    /// Whether the mount that holds a path tells others of mounts below it: it is shared, or itself follows a shared
    /// one.
    static func reaches(_ path: String, mountInfo: String) -> Bool {
        var best: (length: Int, isShared: Bool) = (-1, false)
        for line in mountInfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, let dash = fields.firstIndex(of: "-") else { continue }
            let point = String(fields[4])
            guard point == "/" || path == point || path.hasPrefix(point + "/") else { continue }
            // Of mounts at one point the last covers the others.
            if point.utf8.count >= best.length {
                let isShared = fields[6..<dash].contains { $0.hasPrefix("shared:") || $0.hasPrefix("master:") }
                best = (point.utf8.count, isShared)
            }
        }
        return best.isShared
    }
}
