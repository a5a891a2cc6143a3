// Sets of Unicode scalars: what one place of a pattern matches.

/// Ranges and Unicode categories, possibly all but them.
struct ScalarSet: Sendable {
    private var ranges: [ClosedRange<UInt32>] = []
    private var categories: [(codes: Set<String>, isNegated: Bool)] = []
    /// Sets that stand in a class as `[^\W]` has them.
    private var members: [ScalarSet] = []
    var isNegated = false

    init() {}

    init(_ ranges: ClosedRange<UInt32>...) { self.ranges = ranges }

    init(_ scalar: Unicode.Scalar) { ranges = [scalar.value...scalar.value] }

    /// A category like `L` or `Lu`; nil for names that are none. Scripts are not known here.
    init?(category name: String, isNegated: Bool) {
        if name == "Any" {
            ranges = [0...0x10FFFF]
            self.isNegated = isNegated
            return
        }
        let codes = Set(Self.codes.filter { $0 == name || (name.count == 1 && $0.hasPrefix(name)) })
        if codes.isEmpty { return nil }
        categories = [(codes, isNegated)]
    }

    static let digit = ScalarSet(0x30...0x39)
    static let word = ScalarSet(0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A)
    static let space = ScalarSet(0x09...0x0A, 0x0C...0x0D, 0x20...0x20)
    static let everything = ScalarSet(0...0x10FFFF)
    static let notNewline = ScalarSet(0...9, 11...0x10FFFF)

    /// The classes of POSIX, like `[:alpha:]`.
    static let named: [String: ScalarSet] = [
        "alnum": ScalarSet(0x30...0x39, 0x41...0x5A, 0x61...0x7A), "alpha": ScalarSet(0x41...0x5A, 0x61...0x7A),
        "ascii": ScalarSet(0...0x7F), "blank": ScalarSet(0x09...0x09, 0x20...0x20),
        "cntrl": ScalarSet(0...0x1F, 0x7F...0x7F), "digit": digit, "graph": ScalarSet(0x21...0x7E),
        "lower": ScalarSet(0x61...0x7A), "print": ScalarSet(0x20...0x7E),
        "punct": ScalarSet(0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E),
        "space": ScalarSet(0x09...0x0D, 0x20...0x20), "upper": ScalarSet(0x41...0x5A), "word": word,
        "xdigit": ScalarSet(0x30...0x39, 0x41...0x46, 0x61...0x66),
    ]

    var negated: ScalarSet {
        var set = self
        set.isNegated.toggle()
        return set
    }

    mutating func insert(_ range: ClosedRange<UInt32>) { ranges.append(range) }
    mutating func insert(_ set: ScalarSet) { members.append(set) }

    /// The set with both cases of its letters. Ranges beyond ASCII are folded only where they are one letter.
    var caseFolded: ScalarSet {
        var set = self
        for range in ranges {
            for (low, high, offset) in [(UInt32(0x41), UInt32(0x5A), 32), (0x61, 0x7A, -32)] {
                let first = max(range.lowerBound, low)
                let last = min(range.upperBound, high)
                if first <= last {
                    set.ranges.append(UInt32(Int(first) + offset)...UInt32(Int(last) + offset))
                }
            }
            guard range.count == 1, range.lowerBound > 0x7F, let scalar = Unicode.Scalar(range.lowerBound) else {
                continue
            }
            for text in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping] {
                let scalars = Array(text.unicodeScalars)
                if scalars.count == 1 { set.ranges.append(scalars[0].value...scalars[0].value) }
            }
        }
        set.members = members.map(\.caseFolded)
        return set
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        let isMember =
            ranges.contains { $0.contains(scalar.value) } || members.contains { $0.contains(scalar) }
            || categories.contains { $0.codes.contains(Self.code(of: scalar)) != $0.isNegated }
        return isMember != isNegated
    }

    private static let codes = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "Sm",
        "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co",
    ]

    private static func code(of scalar: Unicode.Scalar) -> String {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter: "Lu"
        case .lowercaseLetter: "Ll"
        case .titlecaseLetter: "Lt"
        case .modifierLetter: "Lm"
        case .otherLetter: "Lo"
        case .nonspacingMark: "Mn"
        case .spacingMark: "Mc"
        case .enclosingMark: "Me"
        case .decimalNumber: "Nd"
        case .letterNumber: "Nl"
        case .otherNumber: "No"
        case .connectorPunctuation: "Pc"
        case .dashPunctuation: "Pd"
        case .openPunctuation: "Ps"
        case .closePunctuation: "Pe"
        case .initialPunctuation: "Pi"
        case .finalPunctuation: "Pf"
        case .otherPunctuation: "Po"
        case .mathSymbol: "Sm"
        case .currencySymbol: "Sc"
        case .modifierSymbol: "Sk"
        case .otherSymbol: "So"
        case .spaceSeparator: "Zs"
        case .lineSeparator: "Zl"
        case .paragraphSeparator: "Zp"
        case .control: "Cc"
        case .format: "Cf"
        case .surrogate: "Cs"
        case .privateUse: "Co"
        case .unassigned: "Cn"
        @unknown default: "Cn"
        }
    }
}
