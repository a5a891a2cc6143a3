// The folder that holds everything the platform keeps, and how it is made and unmade.

import ContainerRuntimes
import Glibc
import Logging
import Objects
import PodNetwork

/// `store/` objects, `pki/` keys, `pods/` running pods, `logs/` their output, `network/` addresses, `kubeconfig`, `lock`.
package enum StateDirectory {
    /// Makes the directory and its parents, readable by its owner alone.
    static func prepare(_ path: String) throws(Problem) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/" + part
            guard mkdir(made, made == path ? 0o700 : 0o755) == 0 || errno == EEXIST else {
                throw Problem(
                    .forbidden, "cannot make \(made): \(String(cString: strerror(errno))); choose a directory with --state")
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
            try await ServiceProxy.removeRules()
            let defaults = Configuration(directory: path, nodeName: "")
            try await HostAddresses(defaults.serviceAddresses).remove()
        }
        try removeTree(path)
    }

    /// Deletes a folder without following links or leaving its file system, where a pod's mount would still be.
    private static func removeTree(_ path: String) throws(Problem) {
        let failed = nftw(
            path,
            { path, _, _, _ in
                guard let path else { return 0 }
                return remove(path)
            }, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT)
        guard failed == 0 else {
            throw Problem(.internalError, "cannot delete \(path): \(String(cString: strerror(errno)))")
        }
    }
}
