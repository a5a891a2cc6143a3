// The formats that strings of custom resources may be declared to have.

import Formats
import Objects

/// Formats of upstream's list; any other name accepts every text (upstream: pkg/apiserver/validation/formats.go and
/// kube-openapi, pkg/validation/strfmt).
package enum StringFormat {
    /// Formats that are checked, in the spelling of schemas; upstream compares names without their dashes.
    package static let known: Set<String> = [
        "bsonobjectid", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "uuid3", "uuid4", "uuid5",
        "isbn", "isbn10", "isbn13", "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "password", "date", "duration",
        "datetime", "k8sshortname", "k8slongname",
    ]
    /// Formats of numbers, which say nothing about strings.
    static let numeric: Set<String> = ["int32", "int64", "float", "double"]

    static func normalized(_ format: String) -> String { String(format.filter { $0 != "-" }) }

    /// Whether upstream knows the format.
    package static func isKnown(_ format: String) -> Bool {
        known.contains(normalized(format)) || numeric.contains(format)
    }

    static func accepts(_ text: String, _ format: String) -> Bool {
        switch normalized(format) {
        case "datetime": Timestamp(rfc3339: text) != nil && text.utf8.dropFirst(10).first != UInt8(ascii: " ")
        case "date": text.utf8.count == 10 && Timestamp(rfc3339: text + "T00:00:00Z") != nil
        case "duration": isDuration(text)
        case "byte": Base64.decode(text) != nil
        case "ipv4": isIPv4(text)
        case "ipv6": isIPv6(text)
        case "cidr": isCIDR(text)
        case "hostname": isHostname(text)
        case "email": isEmail(text)
        case "uri": isURI(text)
        case "k8sshortname": NameRules.fault(text, .label) == nil
        case "k8slongname": NameRules.fault(text, .subdomain) == nil
        case let name: patterns[name].map { $0.matches(text) == true } ?? true
        }
    }

    private static let patterns: [String: Pattern] = {
        let hex = "[0-9a-f]"
        let texts = [
            "bsonobjectid": "^[0-9a-fA-F]{24}$",
            "mac": "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$|^([0-9A-Fa-f]{4}\\.){2}[0-9A-Fa-f]{4}$",
            "uuid": "(?i)^\(hex){8}-?\(hex){4}-?\(hex){4}-?\(hex){4}-?\(hex){12}$",
            "uuid3": "(?i)^\(hex){8}-?\(hex){4}-?3\(hex){3}-?\(hex){4}-?\(hex){12}$",
            "uuid4": "(?i)^\(hex){8}-?\(hex){4}-?4\(hex){3}-?[89ab]\(hex){3}-?\(hex){12}$",
            "uuid5": "(?i)^\(hex){8}-?\(hex){4}-?5\(hex){3}-?[89ab]\(hex){3}-?\(hex){12}$",
            "isbn": "^[0-9X -]{10,17}$", "isbn10": "^([0-9][ -]?){9}[0-9X]$", "isbn13": "^([0-9][ -]?){12}[0-9]$",
            "creditcard": "^[0-9]([ -]?[0-9]){12,18}$",
            "ssn": "^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$",
            "hexcolor": "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$",
            "rgbcolor": "^rgb\\(\\s*([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])\\s*,"
                + "\\s*([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])\\s*,"
                + "\\s*([0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5])\\s*\\)$",
        ]
        return texts.compactMapValues { try? Pattern($0) }
    }()

    // MARK: Addresses

    static func isIPv4(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
                    && Int(part).map { $0 <= 255 } == true && (part.utf8.count == 1 || part.utf8.first != 0x30)
            }
    }

    static func isIPv6(_ text: String) -> Bool {
        let halves = text.split("::")
        guard text.contains(":"), halves.count <= 2 else { return false }
        var groups = 0
        for (position, half) in halves.enumerated() {
            if half.isEmpty { continue }
            let parts = half.split(separator: ":", omittingEmptySubsequences: false)
            for (index, part) in parts.enumerated() {
                let isLast = position == halves.count - 1 && index == parts.count - 1
                if isLast, part.contains(".") {
                    guard isIPv4(String(part)) else { return false }
                    groups += 2
                    continue
                }
                guard (1...4).contains(part.utf8.count), part.allSatisfy({ $0.isHexDigit && $0.isASCII }) else {
                    return false
                }
                groups += 1
            }
        }
        return halves.count == 2 ? groups <= 7 : groups == 8
    }

    private static func isCIDR(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let length = Int(parts[1]), length >= 0, String(length) == parts[1] else {
            return false
        }
        return (isIPv4(parts[0]) && length <= 32) || (isIPv6(parts[0]) && length <= 128)
    }

    private static func isHostname(_ text: String) -> Bool {
        if text.utf8.count > 255 || text.isEmpty { return false }
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        return labels.allSatisfy { label in
            (1...63).contains(label.utf8.count)
                && label.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" } && label.first != "-"
                && label.last != "-"
        }
    }

    private static func isEmail(_ text: String) -> Bool {
        guard let at = text.lastIndex(of: "@") else { return false }
        let local = text[..<at]
        let host = String(text[text.index(after: at)...])
        return !local.isEmpty && !local.contains(where: { $0.isWhitespace || $0 == "@" || $0 == "<" || $0 == ">" })
            && isHostname(host)
    }

    /// A path or something with a scheme, without blanks or control characters (Go: url.ParseRequestURI).
    private static func isURI(_ text: String) -> Bool {
        guard !text.isEmpty, text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F }) else {
            return false
        }
        if text.hasPrefix("/") { return true }
        guard let colon = text.firstIndex(of: ":") else { return false }
        let scheme = text[..<colon]
        return scheme.first.map { $0.isASCII && $0.isLetter } == true
            && scheme.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
    }

    /// Go's `1h30m`, or a number with a unit in words like `3 days`.
    private static func isDuration(_ text: String) -> Bool {
        goDuration.matches(text) == true || wordDuration.matches(text) == true
    }

    private static let goDuration = fixed("^[-+]?(0|([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$")
    private static let wordDuration = fixed(
        "(?i)^[0-9]+\\s*(nanoseconds?|nanos?|ns|microseconds?|micros?|us|µs|milliseconds?|millis?|ms|seconds?|secs?|s|"
            + "minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w)$")

    /// A pattern of this file; one that cannot be read matches nothing, which the tests of the formats would show.
    private static func fixed(_ text: String) -> Pattern {
        guard let pattern = try? Pattern(text) else { preconditionFailure("a pattern of this file is wrong: \(text)") }
        return pattern
    }
}

extension String {
    /// The parts between occurrences of a separator.
    fileprivate func split(_ separator: String) -> [Substring] {
        var parts: [Substring] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        return parts + [rest]
    }
}
