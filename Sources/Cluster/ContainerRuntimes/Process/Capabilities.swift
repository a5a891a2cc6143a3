// Which of root's rights a program keeps (capabilities(7)).

import Objects

enum Capabilities {
    /// By their number in the kernel.
    static let names = [
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
        "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
        "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
        "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
        "CHECKPOINT_RESTORE",
    ]

    /// What container engines grant by default.
    static let usual = [
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE",
        "NET_RAW",
        "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP",
    ]

    /// A bit for each capability that the container's programs may have. Throws for a name that is none.
    static func kept(_ config: ContainerConfig) throws(Problem) -> UInt64 {
        if config.privileged { return .max }
        let dropped = try mask(config.security.droppedCapabilities)
        let added = try mask(config.security.addedCapabilities)
        // As the kubelet's runtimes do: `drop: [ALL]` with some added leaves just these.
        let dropsAll = config.security.droppedCapabilities.contains("ALL")
        return dropsAll ? added : (try mask(usual) | added) & ~(dropped & ~added)
    }

    private static func mask(_ wanted: [String]) throws(Problem) -> UInt64 {
        var mask: UInt64 = 0
        for name in wanted {
            let bare = name.hasPrefix("CAP_") ? String(name.dropFirst(4)) : name
            if bare == "ALL" {
                mask = .max
            } else if let number = names.firstIndex(of: bare) {
                mask |= 1 << UInt64(number)
            } else {
                throw Problem(.invalid, "there is no capability \"\(name)\"")
            }
        }
        return mask
    }
}
