// The folder that provisioned volumes are in, one directory each.

import Controllers
import Glibc
import Objects

/// Makes and removes the directories of volumes below one folder, and nothing outside it.
struct VolumeDirectory: VolumeStore {
    let path: String

    func make(_ name: String) async throws(Problem) -> String {
        let directory = try place(of: name)
        try StateDirectory.prepare(path)
        guard mkdir(directory, 0o777) == 0 || errno == EEXIST else { throw failure("make", directory) }
        // Whatever user a container runs as may write there, as with other local provisioners.
        guard chmod(directory, 0o777) == 0 else { throw failure("open", directory) }
        return directory
    }

    func remove(_ name: String) async throws(Problem) { try StateDirectory.remove(try place(of: name)) }

    private func place(of name: String) throws(Problem) -> String {
        guard !name.isEmpty, !name.contains("/"), name != ".", name != ".." else {
            throw Problem(.invalid, "\"\(name)\" is no name of a volume's directory")
        }
        return path + "/" + name
    }

    private func failure(_ verb: String, _ path: String) -> Problem {
        Problem(.internalError, "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
