// Writes JSON trees as YAML, the way `kubectl -o yaml` prints objects.

extension JSON {
    /// Block style with sorted keys and a final newline; reads back as the same tree.
    package var yaml: String {
        var output = ""
        writeYAML(to: &output, level: 0, isInline: false)
        return output
    }

    /// Writes the value from where the output stands. `isInline` says that a key or dash is before it on the line.
    private func writeYAML(to output: inout String, level: Int, isInline: Bool) {
        switch self {
        case .object(let object) where !object.isEmpty:
            if isInline { output += "\n" }
            Self.write(object, to: &output, level: level, indentsFirst: true)
        case .array(let values) where !values.isEmpty:
            if isInline { output += "\n" }
            for value in values {
                Self.indent(&output, level)
                output += "-"
                if case .object(let object) = value, !object.isEmpty {
                    output += " "
                    Self.write(object, to: &output, level: level + 1, indentsFirst: false)
                } else {
                    value.writeYAML(to: &output, level: level + 1, isInline: true)
                }
            }
        default:
            if isInline { output += " " }
            output += yamlScalar(level: level)
            output += "\n"
        }
    }

    private static func write(_ object: JSONObject, to output: inout String, level: Int, indentsFirst: Bool) {
        var indents = indentsFirst
        for key in object.keys.sorted() {
            if indents { indent(&output, level) }
            indents = true
            output += YAMLText.isPlain(key) ? key : YAMLText.quoted(key)
            output += ":"
            guard let value = object[key] else { continue }
            // A sequence below a key stands at the key's own indentation.
            let isSequence = value.array != nil
            value.writeYAML(to: &output, level: isSequence ? level : level + 1, isInline: true)
        }
    }

    private static func indent(_ output: inout String, _ level: Int) {
        for _ in 0..<level { output += "  " }
    }

    private func yamlScalar(level: Int) -> String {
        switch self {
        case .string(let text):
            if YAMLText.isPlain(text) { return text }
            return YAMLText.literal(text, level: level) ?? YAMLText.quoted(text)
        default: return self.text
        }
    }
}

/// How YAML can carry a string.
private enum YAMLText {
    /// Whether the text stands for itself without quotes.
    static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last, YAMLScalar.resolve(text).string != nil else {
            return false
        }
        // YAML 1.1 readers take these for booleans and dates or base 60 numbers.
        if ["y", "Y", "n", "N", "<<", "="].contains(text) { return false }
        if (0x30...0x39).contains(first), looksLikeTime(text) { return false }
        if " \t".utf8.contains(first) || " \t:".utf8.contains(last) { return false }
        if "!&*{}[]|>@`\"'%#,".utf8.contains(first) { return false }
        if "-?:".utf8.contains(first), text.utf8.count == 1 || text.utf8.dropFirst().first == 0x20 { return false }
        if text.hasPrefix("---") || text.hasPrefix("...") { return false }
        var previous: Unicode.Scalar = "x"
        for scalar in text.unicodeScalars {
            if !isPrintable(scalar) || scalar == "\n" || scalar == "\t" { return false }
            if scalar == "#", previous == " " { return false }
            if scalar == " ", previous == ":" { return false }
            previous = scalar
        }
        return true
    }

    /// Digits with `:` or `-` among them, and nothing that a date or a base 60 number cannot have.
    private static func looksLikeTime(_ text: String) -> Bool {
        let isTime = text.utf8.allSatisfy { (0x30...0x39).contains($0) || ":-.+TtZz _".utf8.contains($0) }
        return isTime && text.utf8.contains { $0 == 0x3A || $0 == 0x2D }
    }

    /// A literal block for text of several lines; nil where a block cannot carry it.
    static func literal(_ text: String, level: Int) -> String? {
        guard text.contains("\n"), text.utf8.first.map({ !" \n\t".utf8.contains($0) }) == true,
            text.unicodeScalars.allSatisfy({ isPrintable($0) })
        else { return nil }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.allSatisfy({ $0.last != " " && $0.last != "\t" }) else { return nil }
        var head = "|-"
        if lines.last?.isEmpty == true {
            lines.removeLast()
            head = lines.last?.isEmpty == true ? "|+" : "|"
        }
        let indent = String(repeating: "  ", count: max(1, level))
        return head + lines.map { $0.isEmpty ? "\n" : "\n\(indent)\($0)" }.joined()
    }

    static func quoted(_ text: String) -> String {
        let isSimple = text.unicodeScalars.allSatisfy { isPrintable($0) && $0 != "\n" && $0 != "\t" }
        if isSimple, YAMLScalar.resolve(text).string != nil, !text.contains("'") { return "'\(text)'" }
        // JSON's quoting is YAML's double quoting, apart from characters that YAML does not print.
        var output = ""
        for scalar in JSON.string(text).text.unicodeScalars {
            if isPrintable(scalar) {
                output.unicodeScalars.append(scalar)
            } else {
                let digits = String(scalar.value, radix: 16)
                let width = scalar.value > 0xFFFF ? 8 : 4
                output += (width == 8 ? "\\U" : "\\u") + String(repeating: "0", count: width - digits.count) + digits
            }
        }
        return output
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A, 0x20...0x7E, 0xA0...0xD7FF, 0xE000...0xFEFE, 0xFF00...0xFFFD, 0x10000...0x10FFFF:
            scalar.value != 0x2028 && scalar.value != 0x2029
        default: false
        }
    }
}
