// What containers use, where no control group counts it: the sum over their processes, and over the files that they
// wrote.

import Glibc

enum ProcessUse {
    /// Processes that are looked at for one container.
    static let processLimit = 4096

    /// Processor time and resident memory of a container's init and everything below it.
    static func of(initPid: Int32) -> (cpuNanoseconds: UInt64, workingSetBytes: UInt64) {
        var pending = [initPid]
        var seen = 0
        var cpu: UInt64 = 0
        var memory: UInt64 = 0
        let tick = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        let page = UInt64(max(1, sysconf(Int32(_SC_PAGESIZE))))
        while let pid = pending.popLast(), seen < processLimit {
            seen += 1
            // After the name, which may hold anything, come numbers; times are the 12th to 15th of them (proc(5)).
            let fields = text("/proc/\(pid)/stat").split(separator: ")").last?.split(separator: " ") ?? []
            if fields.count > 14 {
                cpu += fields[11...14].reduce(0) { $0 + (UInt64($1) ?? 0) } * 1_000_000_000 / tick
            }
            let sizes = text("/proc/\(pid)/statm").split(separator: " ")
            if sizes.count > 1 { memory += (UInt64(sizes[1]) ?? 0) * page }
            pending += text("/proc/\(pid)/task/\(pid)/children").split(separator: " ").compactMap { Int32($0) }
        }
        return (cpu, memory)
    }

    /// What a tree takes of its file system, following no link.
    static func bytes(below path: String) -> Int64 {
        var facts = stat()
        guard lstat(path, &facts) == 0 else { return 0 }
        var sum = Int64(facts.st_blocks) * 512
        if facts.st_mode & S_IFMT == S_IFDIR {
            for name in Files.names(in: path) { sum += bytes(below: path + "/" + name) }
        }
        return sum
    }

    private static func text(_ path: String) -> String { String(decoding: Files.read(path) ?? [], as: UTF8.self) }
}
