// What is wrong with a text or byte sequence that should have been JSON, YAML, a quantity or a time.

/// An input that does not follow its format; says what and where.
package struct FormatProblem: Error, Hashable, CustomStringConvertible {
    package var message: String
    /// Bytes from the start of the input, where known.
    package var offset: Int?

    package init(_ message: String, offset: Int? = nil) {
        self.message = message
        self.offset = offset
    }

    package var description: String { offset.map { "\(message) at offset \($0)" } ?? message }
}
