// How many files and connections this process may have open.

import Glibc

enum OpenFiles {
    /// Every watch over HTTP/1.1 is a connection; the usual limit of 1024 would end at a thousand of them.
    static let wanted: rlim_t = 65_536

    /// Raises the limit of this process, and of the programs that it starts, to what is wanted or at least allowed.
    static func raiseLimit() {
        var limit = rlimit()
        guard getrlimit(.init(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < wanted else { return }
        limit.rlim_cur = min(limit.rlim_max, wanted)
        setrlimit(.init(RLIMIT_NOFILE.rawValue), &limit)
    }
}
