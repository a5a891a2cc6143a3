// A set of completion indexes in the text form that a Job's status carries: `0,2-5,9`.

/// Indexes of an Indexed Job, kept as sorted runs.
struct CompletionIndexes: Sendable, Equatable {
    private(set) var runs: [ClosedRange<Int>] = []

    init() {}

    /// Reads the text form. What is no number or not in order is left out, and so is everything from `limit` on.
    init(parsing text: String, limit: Int = .max) {
        for part in text.split(separator: ",") {
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last, first < limit else { continue }
            add(first...min(last, limit - 1))
        }
    }

    var count: Int { runs.map(\.count).reduce(0, +) }

    var text: String {
        runs.map { run in
            switch run.count {
            case 1: "\(run.lowerBound)"
            case 2: "\(run.lowerBound),\(run.upperBound)"
            default: "\(run.lowerBound)-\(run.upperBound)"
            }
        }.joined(separator: ",")
    }

    func contains(_ index: Int) -> Bool { runs.contains { $0.contains(index) } }

    mutating func insert(_ index: Int) { add(index...index) }

    func intersection(_ other: CompletionIndexes) -> CompletionIndexes {
        var common = CompletionIndexes()
        for run in runs {
            for match in other.runs where match.overlaps(run) { common.add(run.clamped(to: match)) }
        }
        return common
    }

    private mutating func add(_ run: ClosedRange<Int>) {
        var merged = run
        var others: [ClosedRange<Int>] = []
        for old in runs {
            // Neighbours become one run as well.
            if old.upperBound >= merged.lowerBound - 1, old.lowerBound <= merged.upperBound + 1 {
                merged = min(old.lowerBound, merged.lowerBound)...max(old.upperBound, merged.upperBound)
            } else {
                others.append(old)
            }
        }
        let place = others.firstIndex { $0.lowerBound > merged.lowerBound } ?? others.count
        others.insert(merged, at: place)
        runs = others
    }
}
