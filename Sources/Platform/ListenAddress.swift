// Reads where to listen from a flag.

import Formats
import Objects

extension ListenAddress {
    /// Reads `HOST:PORT`; throws a Problem that names the flag.
    package init(parsing text: String, flag: String) throws(Problem) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, let port = Int(parts[1]), (1...65535).contains(port) else {
            throw .badRequest("\(flag): \"\(text)\" is not HOST:PORT, like 127.0.0.1:6443")
        }
        self.init(host: String(parts[0]), port: port)
    }
}
