// The rules for names, labels and annotations, with upstream's messages (apimachinery, util/validation/validation.go).

import Formats

/// Which texts may name what.
package enum NameRules {
    package static let labelLength = 63
    package static let subdomainLength = 253
    package static let annotationsSizeBytes = 256 * 1024

    package enum Rule: Sendable { case label, label1035, subdomain, pathSegment }

    /// What is wrong with a name; nil when it may be used.
    package static func fault(_ name: String, _ rule: Rule) -> String? {
        switch rule {
        case .label: isLabel(name) ? tooLong(name, labelLength) : labelMessage
        case .label1035:
            isLabel(name) && name.utf8.first.map(isLower) == true ? tooLong(name, labelLength) : label1035Message
        case .subdomain:
            name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { isLabel(String($0)) }
                ? tooLong(name, subdomainLength) : subdomainMessage
        case .pathSegment: pathSegmentFault(name)
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
            if let fault = qualifiedNameFault(member.key.lowercased()) {
                faults.append(.invalid("\(path).annotations", .string(member.key), fault))
            }
        }
        if size > annotationsSizeBytes {
            faults.append(
                FieldFault(
                    kind: .tooLong, path: "\(path).annotations",
                    message: "Too long: may not be more than \(annotationsSizeBytes) bytes"))
        }
        return faults
    }

    package static func labelFaults(_ labels: JSON?, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        for member in labels?.object ?? JSONObject() {
            if let fault = qualifiedNameFault(member.key) {
                faults.append(.invalid(path, .string(member.key), fault))
            }
            let value = member.value.string ?? ""
            if value.utf8.count > labelLength {
                faults.append(.invalid(path, member.value, "must be no more than \(labelLength) characters"))
            } else if !value.isEmpty, !isQualifiedPart(value) {
                faults.append(.invalid(path, member.value, labelValueMessage))
            }
        }
        return faults
    }

    /// What is wrong with `example.com/name` or `name`.
    package static func qualifiedNameFault(_ text: String) -> String? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let name = parts.last else { return qualifiedNameMessage }
        if parts.count == 2 {
            if parts[0].isEmpty { return "prefix part must be non-empty" }
            if let fault = fault(String(parts[0]), .subdomain) { return "prefix part " + fault }
        }
        if name.isEmpty { return "name part must be non-empty" }
        if name.utf8.count > labelLength { return "name part must be no more than \(labelLength) characters" }
        return isQualifiedPart(String(name)) ? nil : "name part " + qualifiedPartMessage
    }

    private static func pathSegmentFault(_ name: String) -> String? {
        if name == "." || name == ".." { return "may not be '\(name)'" }
        for mark in ["/", "%"] where name.contains(mark) { return "may not contain '\(mark)'" }
        return nil
    }

    private static func tooLong(_ text: String, _ limit: Int) -> String? {
        text.utf8.count > limit ? "must be no more than \(limit) characters" : nil
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
    private static let labelValueMessage =
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
            + "'.', and must start and "
        + "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
        + "for validation is "
        + "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
}
