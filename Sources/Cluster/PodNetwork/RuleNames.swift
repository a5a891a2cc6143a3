// The names in the table of service rules, ours or an earlier process', by which one ruleset follows another without
// forgetting.

/// Chains of services, and the sets that hold which clients are at home at a target.
struct RuleNames: Hashable, Sendable {
    /// In an order in which they can be deleted: none leads to an earlier one.
    var chains: [String]
    /// Each set's name and for how many seconds it holds a client.
    var affinities: [String: Int]

    static let verdictMaps = ["services", "nodeports", "guarded"]
    static let plainSets = ["hairpin", "empty"]
    /// In an order in which they can be deleted, before `chains`.
    static let ownChains = [
        "prerouting", "output", "postrouting", "guard-in", "guard-own", "refuse-in", "refuse-own", "refuse-forwarded",
        "dispatch", "refuse",
    ]

    init(chains: [String], affinities: [String: Int]) {
        self.chains = chains
        self.affinities = affinities
    }

    /// Reads what `nft list chains` and `nft --terse list sets` say of the table.
    init(chainListing: String, setListing: String) {
        let found = Self.entries(of: "chain", in: chainListing).map(\.name).filter { !Self.ownChains.contains($0) }
        // A service's own chain leads to those of its targets.
        chains = found.filter { !$0.hasPrefix("to/") } + found.filter { $0.hasPrefix("to/") }
        affinities = [:]
        for set in Self.entries(of: "set", in: setListing) {
            for line in set.lines where line.first == "timeout" && line.count == 2 {
                affinities[set.name] = Self.seconds(line[1])
            }
        }
    }

    /// What has to be done with these before the next ruleset's text makes it whole; nil where there is nothing to
    /// keep.
    func change(to next: RuleNames) -> String? {
        let kept = affinities.filter { next.affinities[$0.key] == $0.value }
        guard !kept.isEmpty else { return nil }
        let table = Ruleset.table
        let lines =
            Self.verdictMaps.map { "flush map ip \(table) \($0)" }
            + Self.plainSets.map { "flush set ip \(table) \($0)" } + ["flush table ip \(table)"]
            + (Self.ownChains + chains).map { "delete chain ip \(table) \($0)" }
            + affinities.keys.filter { kept[$0] == nil }.sorted().map { "delete set ip \(table) \($0)" }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The chains or sets of the table, each with the words of its lines.
    private static func entries(of kind: Substring, in listing: String) -> [(name: String, lines: [[Substring]])] {
        var isOurs = false
        var found: [(name: String, lines: [[Substring]])] = []
        for line in listing.split(separator: "\n") {
            let words = line.split { $0 == " " || $0 == "\t" }
            if words.first == "table" {
                isOurs = words.count > 2 && words[1] == "ip" && words[2] == Ruleset.table
            } else if isOurs, words.first == kind, words.count > 1 {
                found.append((String(words[1]), []))
            } else if isOurs, !found.isEmpty {
                found[found.count - 1].lines.append(words)
            }
        }
        return found
    }

    /// `1d1h1m1s`, as nft writes spans; nil for anything else.
    static func seconds(_ text: Substring) -> Int? {
        let units: [Character: Int] = ["d": 86_400, "h": 3600, "m": 60, "s": 1]
        var (sum, digits) = (0, "")
        for character in text {
            if let unit = units[character] {
                guard let count = Int(digits), count < 1_000_000 else { return nil }
                sum += count * unit
                digits = ""
            } else {
                digits.append(character)
            }
        }
        return digits.isEmpty && !text.isEmpty ? sum : nil
    }
}
