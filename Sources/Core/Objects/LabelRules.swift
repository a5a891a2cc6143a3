// What keys and values of labels may look like (upstream: apimachinery, util/validation).

package enum LabelRules {
    static let nameLength = 63
    static let prefixLength = 253

    /// What is wrong with a key such as `app` or `app.kubernetes.io/name`; nil for a good one.
    package static func fault(ofKey key: String) -> String? {
        let parts = key.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.last else { return nil }
        if parts.count == 2 {
            if parts[0].isEmpty { return "prefix part must be non-empty" }
            if parts[0].utf8.count > prefixLength { return "prefix part must be no more than \(prefixLength) bytes" }
        }
        if name.isEmpty { return "name part must be non-empty" }
        if name.utf8.count > nameLength { return "name part must be no more than \(nameLength) bytes" }
        if isWord(name) { return nil }
        return "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            + "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            + "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    }

    /// What is wrong with a value; the empty one is good.
    package static func fault(ofValue value: String) -> String? {
        if value.utf8.count > nameLength { return "must be no more than \(nameLength) bytes" }
        if value.isEmpty || isWord(value[...]) { return nil }
        return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            + "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
            + "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    }

    private static func isWord(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && text.utf8.allSatisfy { isAlphanumeric($0) || "-_.".utf8.contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }
}
