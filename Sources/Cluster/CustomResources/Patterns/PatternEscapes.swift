// Escapes and classes of patterns.

extension PatternParser {
    /// An escape outside of a class.
    mutating func escape() throws(PatternProblem) -> PatternNode {
        let start = position
        guard position + 1 < scalars.count else { throw problem("trailing backslash at end of expression", "") }
        switch scalars[position + 1] {
        case "A": return assertion(.textStart)
        case "z": return assertion(.textEnd)
        case "b": return assertion(.wordBoundary)
        case "B": return assertion(.noWordBoundary)
        default: break
        }
        if let set = try escapedSet() { return .scalar(flags.foldsCase ? set.caseFolded : set) }
        position = start
        return letter(try escapedScalar())
    }

    private mutating func assertion(_ assertion: PatternAssertion) -> PatternNode {
        position += 2
        return .assertion(assertion)
    }

    /// `\d`, `\pL` and the like; nil when the escape is of one scalar.
    private mutating func escapedSet() throws(PatternProblem) -> ScalarSet? {
        let start = position
        guard position + 1 < scalars.count else { return nil }
        let letter = scalars[position + 1]
        position += 2
        switch letter {
        case "d": return .digit
        case "D": return .digit.negated
        case "w": return .word
        case "W": return .word.negated
        case "s": return .space
        case "S": return .space.negated
        case "p", "P": return try category(start, isNegated: letter == "P")
        default:
            position = start
            return nil
        }
    }

    private mutating func category(_ start: Int, isNegated: Bool) throws(PatternProblem) -> ScalarSet {
        var name = ""
        var isNegated = isNegated
        if take("{") {
            let first = position
            while let scalar = peek, scalar != "}" { position += 1 }
            name = text(first..<position)
            guard take("}") else { throw problem("invalid character class range", text(start..<scalars.count)) }
        } else if let scalar = peek {
            position += 1
            name = String(Character(scalar))
        }
        if name.hasPrefix("^") {
            name.removeFirst()
            isNegated.toggle()
        }
        guard let set = ScalarSet(category: name, isNegated: isNegated) else {
            throw problem("invalid character class range", text(start..<position))
        }
        return set
    }

    private mutating func escapedScalar() throws(PatternProblem) -> Unicode.Scalar {
        let start = position
        guard position + 1 < scalars.count else { throw problem("trailing backslash at end of expression", "") }
        let letter = scalars[position + 1]
        position += 2
        switch letter {
        case "a": return "\u{7}"
        case "f": return "\u{C}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "v": return "\u{B}"
        case "0"..."7": if let scalar = octal(letter) { return scalar }
        case "x": if let scalar = hexadecimal() { return scalar }
        default:
            if letter.isASCII, !ScalarSet.word.contains(letter) || letter == "_" { return letter }
        }
        throw problem("invalid escape sequence", text(start..<max(position, start + 2)))
    }

    /// A single digit other than 0 would be a back reference, which RE2 does not have.
    private mutating func octal(_ first: Unicode.Scalar) -> Unicode.Scalar? {
        if first != "0", !(peek.map { ("0"..."7").contains($0) } ?? false) { return nil }
        var value = first.value - 0x30
        for _ in 0..<2 {
            guard let scalar = peek, ("0"..."7").contains(scalar) else { break }
            value = value * 8 + scalar.value - 0x30
            position += 1
        }
        return Unicode.Scalar(value)
    }

    private mutating func hexadecimal() -> Unicode.Scalar? {
        let isBraced = take("{")
        let start = position
        while let scalar = peek, Character(scalar).isHexDigit, scalar.isASCII, isBraced || position < start + 2 {
            position += 1
        }
        guard position > start, isBraced || position == start + 2, position - start <= 8,
            let value = UInt32(text(start..<position), radix: 16)
        else { return nil }
        if isBraced, !take("}") { return nil }
        return Unicode.Scalar(value)
    }

    /// `[a-z]` and everything that may stand in brackets.
    mutating func scalarClass() throws(PatternProblem) -> ScalarSet {
        let start = position
        position += 1
        var set = ScalarSet()
        set.isNegated = take("^")
        var isFirst = true
        while peek != "]" || isFirst {
            guard peek != nil else { throw problem("missing closing ]", text(start..<scalars.count)) }
            isFirst = false
            if let named = try namedClass() {
                set.insert(named)
            } else if peek == "\\", let escaped = try escapedSet() {
                set.insert(escaped)
            } else {
                set.insert(try range(start))
            }
        }
        position += 1
        return set
    }

    /// `[:alpha:]` or `[:^alpha:]`
    private mutating func namedClass() throws(PatternProblem) -> ScalarSet? {
        guard peek == "[", position + 1 < scalars.count, scalars[position + 1] == ":" else { return nil }
        let start = position
        guard let end = (position + 2..<scalars.count).first(where: { scalars[$0] == "]" && scalars[$0 - 1] == ":" }),
            end > start + 2
        else { return nil }
        var name = text(start + 2..<end - 1)
        let isNegated = name.hasPrefix("^")
        if isNegated { name.removeFirst() }
        guard let set = ScalarSet.named[name] else {
            throw problem("invalid character class range", text(start..<end + 1))
        }
        position = end + 1
        return isNegated ? set.negated : set
    }

    private mutating func range(_ classStart: Int) throws(PatternProblem) -> ClosedRange<UInt32> {
        let start = position
        let low = try classScalar(classStart)
        // A minus before the closing bracket is a letter.
        guard peek == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else {
            return low.value...low.value
        }
        position += 1
        let high = try classScalar(classStart)
        guard low <= high else { throw problem("invalid character class range", text(start..<position)) }
        return low.value...high.value
    }

    private mutating func classScalar(_ classStart: Int) throws(PatternProblem) -> Unicode.Scalar {
        guard let scalar = peek else { throw problem("missing closing ]", text(classStart..<scalars.count)) }
        if scalar == "\\" { return try escapedScalar() }
        position += 1
        return scalar
    }
}
