// Text for people: aligned tables, and colours only where a terminal shows them.

import Glibc

/// Standard output and error as people see them.
package enum Terminal {
    /// Whether to colour: only on a terminal, and not where NO_COLOR asks for none (no-color.org).
    static let hasColours = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil

    static func bold(_ text: String) -> String { hasColours ? "\u{1B}[1m\(text)\u{1B}[0m" : text }
    static func green(_ text: String) -> String { hasColours ? "\u{1B}[32m\(text)\u{1B}[0m" : text }

    /// A line, or several, on standard output.
    static func say(_ text: String) { show(text + "\n") }

    /// Text that ends its own lines, on standard output.
    static func show(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// A line on standard error, for progress and problems.
    static func note(_ text: String) {
        write(text + "\n", to: STDERR_FILENO)
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = ArraySlice(text.utf8)
        while !bytes.isEmpty {
            let written =
                bytes.withContiguousStorageIfAvailable { Glibc.write(descriptor, $0.baseAddress, $0.count) } ?? -1
            if written <= 0 { return }  // Nobody reads any more.
            bytes = bytes.dropFirst(written)
        }
    }

    /// Rows in columns two spaces apart, the last one as long as it is.
    static func table(_ rows: [[String]]) -> String {
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        return rows.map { row in
            row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
