// Which mounts of the host a container must get an overlay for, besides the one of `/`.

/// Reads `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
enum HostMounts {
    /// More mounts than this are not shown in containers.
    static let limit = 64

    /// File systems that are the kernel's, not files of programs; a container has its own or none.
    private static let kernelTypes: Set<String> = [
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
        "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs",
        "tracefs",
    ]

    /// The mount points, parents before children, that are neither `/`, nor the kernel's, nor in a hidden directory.
    static func layers(mountInfo: String, hidden: [String]) -> [String] {
        var points: [String] = []
        for line in mountInfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 4, let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count else { continue }
            let point = unescaped(fields[4])
            if point == "/" || kernelTypes.contains(String(fields[dash + 1])) || points.contains(point) { continue }
            if (["/proc", "/sys", "/dev"] + hidden).contains(where: { point == $0 || point.hasPrefix($0 + "/") }) {
                continue
            }
            points.append(point)
            if points.count == limit { break }
        }
        return points
    }

    /// Space, tab, newline and backslash are written as three octal digits.
    private static func unescaped(_ field: Substring) -> String {
        guard field.contains("\\") else { return String(field) }
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest.removeFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
