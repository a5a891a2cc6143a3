// Limits on the size of a part of the tree, as `setquota` of ZooKeeper's shell writes them.

/// The quotas of `/zookeeper/quota`. A limit is a znode `zookeeper_limits` below the path that it limits; what is used
/// is told in `zookeeper_stats` beside it (org.apache.zookeeper.Quotas, StatsTrack). Soft limits are told, hard ones
/// held.
struct QuotaTable: Hashable, Sendable {
    static let root = "/zookeeper/quota"
    static let limitsSuffix = "/zookeeper_limits"
    static let statisticsSuffix = "/zookeeper_stats"

    struct Usage: Hashable, Sendable {
        var nodes = 0
        var bytes = 0
    }

    private struct Quota: Hashable, Sendable {
        /// Nil is no limit.
        var hardNodes: Int?
        var hardBytes: Int?
        var used: Usage
    }

    private var quotas: [String: Quota] = [:]

    var isEmpty: Bool { quotas.isEmpty }

    /// The path that a limits znode is about.
    private static func limited(by path: String) -> String? {
        guard path.hasPrefix(root + "/"), path.hasSuffix(limitsSuffix) else { return nil }
        let inner = path.dropFirst(root.utf8.count).dropLast(limitsSuffix.utf8.count)
        return inner.isEmpty ? "/" : String(inner)
    }

    mutating func read(_ data: [UInt8], at path: String, usage: (String) -> Usage) {
        guard let limited = Self.limited(by: path) else { return }
        var quota = Quota(used: quotas[limited]?.used ?? usage(limited))
        for part in String(decoding: data, as: UTF8.self).split(whereSeparator: { $0 == "," || $0 == ";" }) {
            let words = part.split(separator: "=")
            guard words.count == 2, let number = Int(words[1]), number >= 0 else { continue }
            switch words[0] {
            case "countHardLimit": quota.hardNodes = number
            case "byteHardLimit": quota.hardBytes = number
            default: break
            }
        }
        quotas[limited] = quota
    }

    mutating func forget(_ path: String) {
        guard let limited = Self.limited(by: path) else { return }
        quotas[limited] = nil
    }

    func allows(_ path: String, nodes: Int, bytes: Int) -> Bool {
        guard let place = nearest(path), let quota = quotas[place] else { return true }
        if nodes > 0, let hard = quota.hardNodes, quota.used.nodes + nodes > hard { return false }
        if bytes > 0, let hard = quota.hardBytes, quota.used.bytes + bytes > hard { return false }
        return true
    }

    /// Counts a change; returns the statistics znode and what it holds now.
    mutating func count(_ path: String, nodes: Int, bytes: Int) -> (path: String, data: [UInt8])? {
        guard let place = nearest(path), var quota = quotas[place] else { return nil }
        quota.used.nodes += nodes
        quota.used.bytes += bytes
        quotas[place] = quota
        let base = Self.root + (place == "/" ? "" : place)
        return (base + Self.statisticsSuffix, Array("count=\(quota.used.nodes),bytes=\(quota.used.bytes)".utf8))
    }

    /// The deepest path with a quota that this one is within; the tree's own part has none.
    private func nearest(_ path: String) -> String? {
        guard !Path.isWithin(path, "/zookeeper") else { return nil }
        var path = path
        while true {
            if quotas[path] != nil { return path }
            if path == "/" || path.isEmpty { return nil }
            path = Path.parent(path)
        }
    }
}
