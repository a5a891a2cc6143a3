// Reads RE2's syntax (golang.org/s/re2syntax) into a tree, with Go's errors.

struct PatternParser {
    struct Flags { var foldsCase = false, isMultiline = false, dotMatchesNewline = false }

    let scalars: [Unicode.Scalar]
    var position = 0
    var flags = Flags()
    private var depth = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func parse() throws(PatternProblem) -> PatternNode {
        let tree = try choice()
        if peek == ")" { throw problem("unexpected )", String(text(0..<scalars.count))) }
        return tree
    }

    var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    func text(_ range: Range<Int>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars[range])
        return String(text)
    }

    func problem(_ reason: String, _ excerpt: String) -> PatternProblem {
        PatternProblem(reason: reason, excerpt: excerpt)
    }

    mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        position += 1
        return true
    }

    private func isAhead(_ word: String) -> Bool { scalars[position...].starts(with: word.unicodeScalars) }

    // MARK: Structure

    private mutating func choice() throws(PatternProblem) -> PatternNode {
        depth += 1
        defer { depth -= 1 }
        if depth > Pattern.depthLimit { throw problem("expression nests too deeply", text(0..<scalars.count)) }
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func sequence() throws(PatternProblem) -> PatternNode {
        var nodes: [PatternNode] = []
        // The operator that was read last, where the next one would be stacked on it.
        var lastOperator: Int?
        while let scalar = peek, scalar != "|", scalar != ")" {
            let start = position
            if let (minimum, maximum) = try repetition() {
                if lastOperator == nil, nodes.isEmpty {
                    throw problem("missing argument to repetition operator", text(start..<position))
                }
                _ = take("?")
                if let first = lastOperator {
                    throw problem("invalid nested repetition operator", text(first..<position))
                }
                let node = nodes.removeLast()
                nodes.append(.repetition(node, minimum: minimum, maximum: maximum))
                lastOperator = start
                continue
            }
            lastOperator = nil
            if isAhead("\\Q") {
                nodes += quoted()
            } else if let node = try atom() {
                nodes.append(node)
            }
        }
        return nodes.count == 1 ? nodes[0] : nodes.isEmpty ? .empty : .sequence(nodes)
    }

    /// `*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`; a brace that is none of these is a letter.
    private mutating func repetition() throws(PatternProblem) -> (Int, Int?)? {
        switch peek {
        case "*": position += 1; return (0, nil)
        case "+": position += 1; return (1, nil)
        case "?": position += 1; return (0, 1)
        case "{": break
        default: return nil
        }
        let start = position
        position += 1
        guard let minimum = number() else { return reset(start) }
        var maximum: Int? = minimum
        if take(",") { maximum = peek == "}" ? nil : number() ?? -1 }
        guard take("}"), maximum != -1 else { return reset(start) }
        if minimum > Pattern.repeatLimit || (maximum ?? 0) > Pattern.repeatLimit || minimum > maximum ?? minimum {
            throw problem("invalid repeat count", text(start..<position))
        }
        return (minimum, maximum)
    }

    private mutating func reset(_ start: Int) -> (Int, Int?)? {
        position = start
        return nil
    }

    private mutating func number() -> Int? {
        let start = position
        while let scalar = peek, ("0"..."9").contains(scalar) { position += 1 }
        let digits = text(start..<position)
        if digits.isEmpty || (digits.count > 1 && digits.hasPrefix("0")) { return nil }
        return Int(digits.prefix(9))
    }

    private mutating func quoted() -> [PatternNode] {
        position += 2
        var nodes: [PatternNode] = []
        while let scalar = peek {
            if isAhead("\\E") {
                position += 2
                break
            }
            position += 1
            nodes.append(letter(scalar))
        }
        return nodes
    }

    func letter(_ scalar: Unicode.Scalar) -> PatternNode { .scalar(folded(ScalarSet(scalar))) }
    private func folded(_ set: ScalarSet) -> ScalarSet { flags.foldsCase ? set.caseFolded : set }

    private mutating func atom() throws(PatternProblem) -> PatternNode? {
        guard let scalar = peek else { return nil }
        switch scalar {
        case "(": return try group()
        case "[": return .scalar(folded(try scalarClass()))
        case ".":
            position += 1
            return .scalar(flags.dotMatchesNewline ? .everything : .notNewline)
        case "^":
            position += 1
            return .assertion(flags.isMultiline ? .lineStart : .textStart)
        case "$":
            position += 1
            return .assertion(flags.isMultiline ? .lineEnd : .textEnd)
        case "\\": return try escape()
        default:
            position += 1
            return letter(scalar)
        }
    }

    // MARK: Groups

    private mutating func group() throws(PatternProblem) -> PatternNode? {
        let start = position
        let outer = flags
        position += 1
        if take("?") {
            if isAhead("P<") || isAhead("<") {
                try groupName(start)
            } else if try !groupFlags(start) {
                // `(?i)` changes the flags for the rest of the group around it.
                return nil
            }
        }
        let node = try choice()
        guard take(")") else { throw problem("missing closing )", text(0..<scalars.count)) }
        flags = outer
        return node
    }

    private mutating func groupName(_ start: Int) throws(PatternProblem) {
        if peek == "P" { position += 1 }
        position += 1
        if peek == "=" || peek == "!" {
            throw problem("invalid or unsupported Perl syntax", text(start..<min(position + 1, scalars.count)))
        }
        let first = position
        while let scalar = peek, scalar != ">" {
            guard ScalarSet.word.contains(scalar) else { break }
            position += 1
        }
        guard first < position, take(">") else {
            throw problem("invalid named capture", text(start..<scalars.count))
        }
    }

    /// Reads `i`, `m`, `s`, `U` and `-`; true when a group follows, false when that was all.
    private mutating func groupFlags(_ start: Int) throws(PatternProblem) -> Bool {
        var isOn = true
        while let scalar = peek {
            position += 1
            switch scalar {
            case "i": flags.foldsCase = isOn
            case "m": flags.isMultiline = isOn
            case "s": flags.dotMatchesNewline = isOn
            case "U": break
            case "-" where isOn: isOn = false
            case ":": return true
            case ")": return false
            default: throw problem("invalid or unsupported Perl syntax", text(start..<position))
            }
        }
        throw problem("missing closing )", text(0..<scalars.count))
    }
}
