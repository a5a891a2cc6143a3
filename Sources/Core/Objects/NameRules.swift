// The rules for names, labels and annotations, with upstream's messages (apimachinery, util/validation/validation.go).

import Formats

/// Which texts may name what.
package enum NameRules {
    package static let labelLength = 63
    package static let subdomainLength = 253
    package static let portNameLength = 15
    package static let annotationsSizeBytes = 256 * 1024

    package enum Rule: Sendable { case label, label1035, subdomain, pathSegment }

    /// What is wrong with a name; nil when it may be used.
    package static func fault(_ name: String, _ rule: Rule) -> String? { messages(name, rule).first }

    /// Everything that is wrong with a name, in upstream's order.
    package static func messages(_ name: String, _ rule: Rule) -> [String] {
        switch rule {
        case .label:
            let isOther = name.contains(".") && messages(name, .subdomain).isEmpty
            let shape = isLabel(name) ? [] : [isOther ? "must not contain dots" : labelMessage]
            return tooLong(name, labelLength) + shape
        case .label1035:
            let isRight = isLabel(name) && name.utf8.first.map(isLower) == true
            return tooLong(name, labelLength) + (isRight ? [] : [label1035Message])
        case .subdomain:
            let isRight = name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy {
                isLabel(String($0))
            }
            return tooLong(name, subdomainLength) + (isRight ? [] : [subdomainMessage])
        case .pathSegment: return pathSegmentMessages(name)
        }
    }

    package static func isLabel(_ text: String) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last else { return false }
        guard isLowerOrDigit(first), isLowerOrDigit(last) else { return false }
        return text.utf8.allSatisfy { isLowerOrDigit($0) || $0 == UInt8(ascii: "-") }
    }

    /// The faults of `metadata`'s labels and annotations.
    package static func metadataFaults(_ metadata: JSON?, at path: String) -> [FieldFault] {
        var faults = labelFaults(metadata?["labels"], at: "\(path).labels")
        var size = 0
        for member in metadata?["annotations"]?.object ?? JSONObject() {
            size += member.key.utf8.count + (member.value.string?.utf8.count ?? 0)
            faults += qualifiedNameMessages(member.key.lowercased()).map {
                .invalid("\(path).annotations", .string(member.key), $0)
            }
        }
        if size > annotationsSizeBytes { faults.append(.tooLong("\(path).annotations", limit: annotationsSizeBytes)) }
        return faults
    }

    package static func labelFaults(_ labels: JSON?, at path: String) -> [FieldFault] {
        guard let members = labels?.object, !members.isEmpty else { return [] }
        var faults: [FieldFault] = []
        for key in members.keys.sorted() {
            faults += qualifiedNameMessages(key).map { .invalid(path, .string(key), $0) }
            let value = members[key]?.string ?? ""
            faults += labelValueMessages(value).map { .invalid(path, .string(value), $0) }
        }
        return faults
    }

    package static func labelValueMessages(_ value: String) -> [String] {
        tooLong(value, labelLength) + (value.isEmpty || isQualifiedPart(value) ? [] : [labelValueMessage])
    }

    /// What is wrong with `example.com/name` or `name`.
    package static func qualifiedNameFault(_ text: String) -> String? { qualifiedNameMessages(text).first }

    package static func qualifiedNameMessages(_ text: String) -> [String] {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, let name = parts.last else { return [qualifiedNameMessage] }
        var messages: [String] = []
        if parts.count == 2 {
            messages +=
                parts[0].isEmpty
                ? ["prefix part must be non-empty"] : Self.messages(parts[0], .subdomain).map { "prefix part " + $0 }
        }
        if name.isEmpty {
            messages.append("name part must be non-empty")
        } else {
            messages += tooLong(name, labelLength).map { "name part " + $0 }
        }
        return isQualifiedPart(name) ? messages : messages + ["name part " + qualifiedPartMessage]
    }

    /// The names of container ports (IANA service names).
    package static func portNameMessages(_ name: String) -> [String] {
        var messages = tooLong(name, portNameLength)
        let isPlain = !name.isEmpty && name.utf8.allSatisfy { isLowerOrDigit($0) || $0 == UInt8(ascii: "-") }
        if !isPlain { messages.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)") }
        if !name.utf8.contains(where: isLower) { messages.append("must contain at least one letter (a-z)") }
        if name.contains("--") { messages.append("must not contain consecutive hyphens") }
        if name.hasPrefix("-") || name.hasSuffix("-") { messages.append("must not begin or end with a hyphen") }
        return messages
    }

    /// The names of environment variables: all of printable ASCII but the equals sign.
    package static func variableMessages(_ name: String) -> [String] {
        let isRight = name.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "=") }
        return isRight
            ? [] : ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    }

    package static func headerNameMessages(_ name: String) -> [String] {
        let isRight = !name.isEmpty && name.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
        return isRight
            ? []
            : [
                "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for "
                    + "validation is '[-A-Za-z0-9]+')"
            ]
    }

    /// The keys of Secrets and ConfigMaps.
    package static func configKeyMessages(_ key: String) -> [String] {
        var messages = tooLong(key, subdomainLength)
        if key.isEmpty || !key.utf8.allSatisfy({ isAlphanumeric($0) || "-_.".utf8.contains($0) }) {
            messages.append(configKeyMessage)
        }
        if key == "." || key == ".." {
            messages.append("must not be '\(key)'")
        } else if key.hasPrefix("..") {
            messages.append("must not start with '..'")
        }
        return messages
    }

    private static func pathSegmentMessages(_ name: String) -> [String] {
        if name == "." || name == ".." { return ["may not be '\(name)'"] }
        return ["/", "%"].filter(name.contains).map { "may not contain '\($0)'" }
    }

    package static func tooLong(_ text: String, _ limit: Int) -> [String] {
        text.utf8.count > limit ? ["must be no more than \(limit) bytes"] : []
    }

    private static func isQualifiedPart(_ text: String) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last else { return false }
        guard isAlphanumeric(first), isAlphanumeric(last) else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || "-_.".utf8.contains($0) }
    }

    private static func isLower(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
    private static func isLowerOrDigit(_ byte: UInt8) -> Bool { isLower(byte) || isDigit(byte) }
    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isLowerOrDigit(byte) || (byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z"))
    }

    private static let labelMessage =
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        + "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    private static let label1035Message =
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
        + "alphabetic character, "
        + "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
        + "'[a-z]([-a-z0-9]*[a-z0-9])?')"
    private static let subdomainMessage =
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
        + "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        + "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    private static let qualifiedPartMessage =
        "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
        + "alphanumeric character "
        + "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
        + "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    private static let qualifiedNameMessage =
        "a qualified name " + qualifiedPartMessage
        + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
    private static let configKeyMessage =
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',"
        + "  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
    private static let labelValueMessage =
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
        + "'.', and must start and "
        + "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
        + "for validation is "
        + "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
}
