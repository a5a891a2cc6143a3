// Turns the bytes of a CRI log file into what the program wrote.

import Formats

/// Takes chunks of a log file in order; gives back the wanted output. A line is `<time> <stream> <F|P> <text>`; `P`
/// says that the text goes on in the next line.
struct LogLines: Sendable {
    private let since: Timestamp?
    private let showsTimestamps: Bool
    private var bytesLeft: Int?
    private var rest: [UInt8] = []
    private var isMidLine = false

    init(_ options: LogReading) {
        since = options.since
        showsTimestamps = options.showsTimestamps
        bytesLeft = options.limitBytes
    }

    /// Nothing more may be given out.
    var isFull: Bool { bytesLeft == 0 }

    /// The output of all lines that are complete now.
    mutating func received(_ chunk: some Collection<UInt8>) -> [UInt8] {
        rest += chunk
        var output: [UInt8] = []
        var start = rest.startIndex
        while let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
            append(rest[start..<end], to: &output)
            start = end + 1
        }
        rest.removeFirst(start)
        return limited(output)
    }

    private mutating func append(_ line: ArraySlice<UInt8>, to output: inout [UInt8]) {
        let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 3 else { return }
        if let since, let time = Timestamp(rfc3339: String(decoding: parts[0], as: UTF8.self)), time < since { return }
        if showsTimestamps, !isMidLine { output += parts[0] + [UInt8(ascii: " ")] }
        if parts.count == 4 { output += parts[3] }
        isMidLine = parts[2].first == UInt8(ascii: "P")
        if !isMidLine { output.append(UInt8(ascii: "\n")) }
    }

    private mutating func limited(_ output: [UInt8]) -> [UInt8] {
        guard let left = bytesLeft else { return output }
        let given = output.prefix(left)
        bytesLeft = left - given.count
        return Array(given)
    }

    /// Where the wanted last lines of a content begin, looking only at this chunk of its end; nil when it has fewer.
    /// `missing` is how many more line ends are to be found before the chunk.
    static func startOfTail(in chunk: [UInt8], missing: inout Int) -> Int? {
        for index in chunk.indices.reversed() where chunk[index] == UInt8(ascii: "\n") {
            if missing == 0 { return index + 1 }
            missing -= 1
        }
        return nil
    }
}
