// The folder that holds everything the platform keeps, and how it is made and unmade.

import ContainerRuntimes
import Glibc
import Logging
import Objects
import PodNetwork

/// `store/` objects, `zookeeper/` znodes, `pki/` keys, `pods/` running pods, `logs/` their output, `network/`
/// addresses, `kubeconfig`, `lock`.
package enum StateDirectory {
    /// Makes the directory and its parents, readable by its owner alone.
    static func prepare(_ path: String) throws(Problem) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/" + part
            guard mkdir(made, made == path ? 0o700 : 0o755) == 0 || errno == EEXIST else {
                throw Problem(
                    .forbidden,
                    "cannot make \(made): \(String(cString: strerror(errno))); choose a directory with --state")
            }
        }
    }

    /// Ends every pod of a stopped platform, takes its addresses and rules off the machine and deletes the directory.
    package static func reset(_ path: String, logger: Logger) async throws {
        if geteuid() == 0 {
            let runtime = try ProcessRuntime(directory: path + "/runtime", logger: logger)
            try await runtime.removeEverything()
            let network = try RoutedNetwork(directory: path + "/network", logger: logger)
            try await network.remove()
            let defaults = Configuration(directory: path, nodeName: "")
            try await ServiceProxy.remove(serviceCIDR: defaults.serviceCIDR)
            try await HostAddresses(defaults.serviceAddresses).remove()
            _ = try await MachineResolver(directory: path + "/resolver").restore()
        }
        try remove(path)
    }

    /// Deletes a folder and what is in it, without following links.
    static func remove(_ path: String) throws(Problem) {
        for name in names(in: path) {
            let inside = path + "/" + name
            var information = stat()
            guard lstat(inside, &information) == 0 else { continue }
            if information.st_mode & S_IFMT == S_IFDIR {
                try remove(inside)
            } else {
                unlink(inside)
            }
        }
        guard rmdir(path) == 0 || errno == ENOENT else {
            throw Problem(.internalError, "cannot delete \(path): \(String(cString: strerror(errno)))")
        }
    }

    static func names(in path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
