// Kubernetes quantities: amounts like `500m`, `1.5Gi` or `2e3`, exact to a billionth.

/// An amount of CPU, memory or anything else that resources are counted in.
package struct Quantity: Sendable, Hashable, Comparable {
    /// The family of suffixes that the text used; canonical text keeps it.
    package enum Format: Sendable, Hashable {
        case decimalSI
        case binarySI
        case decimalExponent
    }

    /// Billionths. Texts finer than that are rounded away from zero, as upstream does.
    package var nanos: Int128
    package var format: Format

    package init(nanos: Int128, format: Format = .decimalSI) {
        self.nanos = nanos
        self.format = format
    }

    package init(_ value: Int64, format: Format = .decimalSI) {
        self.init(nanos: Int128(value) * Self.one, format: format)
    }

    package init(milli: Int64) { self.init(nanos: Int128(milli) * 1_000_000) }

    private static let one: Int128 = 1_000_000_000
    /// Larger amounts are refused; `Int64.max` units, as upstream caps them.
    private static let limit = Int128(Int64.max) * one

    /// In whole units, rounded away from zero.
    package var value: Int64 { rounded(to: Self.one) }
    /// In thousandths, rounded away from zero; the largest number where it does not fit.
    package var milliValue: Int64 { rounded(to: 1_000_000) }

    private func rounded(to unit: Int128) -> Int64 {
        let quotient = nanos / unit
        let result = nanos % unit == 0 ? quotient : quotient + (nanos < 0 ? -1 : 1)
        return Int64(clamping: result)
    }

    package static func < (left: Quantity, right: Quantity) -> Bool { left.nanos < right.nanos }
    package static func == (left: Quantity, right: Quantity) -> Bool { left.nanos == right.nanos }
    package func hash(into hasher: inout Hasher) { hasher.combine(nanos) }

    package static func + (left: Quantity, right: Quantity) -> Quantity {
        Quantity(nanos: left.nanos + right.nanos, format: left.format)
    }

    package static func - (left: Quantity, right: Quantity) -> Quantity {
        Quantity(nanos: left.nanos - right.nanos, format: left.format)
    }
}

extension Quantity {
    private static let decimalSuffixes: [(String, Int)] = [
        ("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18),
    ]
    private static let binarySuffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]

    /// Reads `<sign><digits>.<digits><suffix>`.
    package init(parsing text: String) throws(FormatProblem) {
        let problem = FormatProblem(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$', unlike "
                + "\"\(text)\""
        )
        var rest = Array(text.utf8)[...]
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        var mantissa: Int128 = 0
        var exponent = 0
        var digits = 0
        var isFraction = false
        while let byte = rest.first {
            if byte == UInt8(ascii: "."), !isFraction {
                isFraction = true
            } else if (0x30...0x39).contains(byte) {
                digits += 1
                // Digits that no 64-bit amount can have are beyond the limit or beyond the billionth.
                if mantissa < Self.limit {
                    mantissa = mantissa * 10 + Int128(byte - 0x30)
                    if isFraction { exponent -= 1 }
                } else if !isFraction {
                    exponent += 1
                }
            } else {
                break
            }
            rest = rest.dropFirst()
        }
        guard digits > 0 else { throw problem }
        let suffix = String(decoding: rest, as: UTF8.self)
        let binary: Int128
        if let power = Self.binarySuffixes.firstIndex(of: suffix), power > 0 {
            (format, binary) = (.binarySI, Int128(1) << Int128(10 * power))
        } else if let known = Self.decimalSuffixes.first(where: { $0.0 == suffix }) {
            (format, binary) = (.decimalSI, 1)
            exponent += known.1
        } else if let power = Self.exponent(suffix) {
            (format, binary) = (.decimalExponent, 1)
            exponent += power
        } else {
            throw problem
        }
        guard let nanos = Self.scale(mantissa, by: binary, exponent: exponent + 9) else {
            throw FormatProblem("the quantity \"\(text)\" is too large")
        }
        self.nanos = isNegative ? -nanos : nanos
    }

    private static func exponent(_ suffix: String) -> Int? {
        guard suffix.first == "e" || suffix.first == "E", suffix.utf8.count <= 4 else { return nil }
        return Int(suffix.dropFirst())
    }

    /// `mantissa × binary × 10^exponent`, rounded up; nil beyond the limit.
    private static func scale(_ mantissa: Int128, by binary: Int128, exponent: Int) -> Int128? {
        if mantissa == 0 { return 0 }
        var exponent = exponent
        var (value, overflow) = mantissa.multipliedReportingOverflow(by: binary)
        if overflow {
            // Only texts with very many digits get here; their last ones are beyond the billionth.
            guard exponent < 0 else { return nil }
            (value, overflow) = (mantissa / 1_000_000_000_000).multipliedReportingOverflow(by: binary)
            exponent += 12
            if overflow { return nil }
        }
        var isExact = true
        while exponent < 0, value != 0 {
            if value % 10 != 0 { isExact = false }
            value /= 10
            exponent += 1
        }
        while exponent > 0 {
            guard value <= limit else { return nil }
            value *= 10
            exponent -= 1
        }
        if !isExact { value += 1 }
        return value <= limit ? value : nil
    }

    /// The canonical text: no fraction, the largest suffix that leaves none.
    package var text: String {
        if nanos == 0 { return "0" }
        if format == .binarySI, nanos % Self.one == 0, abs(nanos) >= 1024 * Self.one {
            var amount = nanos / Self.one
            var power = 0
            while amount % 1024 == 0, power + 1 < Self.binarySuffixes.count {
                amount /= 1024
                power += 1
            }
            return String(amount) + Self.binarySuffixes[power]
        }
        var amount = nanos
        var index = 0
        while amount % 1000 == 0, index + 1 < Self.decimalSuffixes.count {
            amount /= 1000
            index += 1
        }
        let (suffix, exponent) = Self.decimalSuffixes[index]
        if format == .decimalExponent { return exponent == 0 ? String(amount) : "\(amount)e\(exponent)" }
        return String(amount) + suffix
    }
}

extension Quantity: CustomStringConvertible {
    package var description: String { text }
}
