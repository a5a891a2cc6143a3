// The vocabulary in which validations are written: reports of faults, and the checks that many fields share.

import Formats
import Objects

/// What a validation has found so far, in the order of finding.
struct Findings: Sendable {
    private(set) var faults: [FieldFault] = []

    static func of(_ object: Object, _ check: (Field, inout Findings) -> Void) -> [FieldFault] {
        var findings = Findings()
        check(Field(object), &findings)
        return findings.faults
    }

    mutating func add(_ more: [FieldFault]) { faults += more }

    mutating func required(_ field: Field, _ detail: String = "") {
        faults.append(.required(field.path.description, detail))
    }

    mutating func invalid(_ field: Field, _ detail: String) { invalid(field, value: field.value, detail) }

    /// A fault that shows another value than the field's own.
    mutating func invalid(_ field: Field, value: JSON?, _ detail: String) {
        faults.append(.invalid(field.path.description, value, detail))
    }

    /// A fault whose value would only take up room.
    mutating func invalid(_ field: Field, _ detail: String, isShown: Bool) {
        if isShown { return invalid(field, detail) }
        faults.append(FieldFault(kind: .invalid, path: field.path.description, message: "Invalid value: \(detail)"))
    }

    mutating func forbidden(_ field: Field, _ detail: String) {
        faults.append(.forbidden(field.path.description, detail))
    }

    mutating func duplicate(_ field: Field, value: JSON? = nil) {
        faults.append(.duplicate(field.path.description, value ?? field.value))
    }

    mutating func notFound(_ field: Field) { faults.append(.notFound(field.path.description, .string(field.text))) }

    mutating func notSupported(_ field: Field, _ supported: [String], value: JSON? = nil) {
        faults.append(.notSupported(field.path.description, value ?? field.value ?? "", supported))
    }

    mutating func tooLong(_ field: Field, bytes: Int) {
        faults.append(.tooLong(field.path.description, limit: bytes))
    }

    mutating func tooMany(_ field: Field, limit: Int) {
        faults.append(.tooMany(field.path.description, field.count, limit: limit))
    }
}

// MARK: Presence, range, choice

extension Findings {
    /// Whether something is there; reports when not.
    @discardableResult
    mutating func needs(_ field: Field, _ detail: String = "") -> Bool {
        if !field.isEmpty { return true }
        required(field, detail)
        return false
    }

    mutating func forbids(_ field: Field, _ detail: String) {
        if !field.isEmpty { forbidden(field, detail) }
    }

    static let isNegative = "must be greater than or equal to 0"
    static let isImmutable = "field is immutable"

    mutating func isNotNegative(_ field: Field) {
        if field.number < 0 { invalid(field, Self.isNegative) }
    }

    mutating func isWithin(_ field: Field, _ range: ClosedRange<Int>) {
        if !range.contains(field.number) { invalid(field, value: JSON(field.number), Self.rangeFault(range)) }
    }

    static func rangeFault(_ range: ClosedRange<Int>) -> String {
        "must be between \(range.lowerBound) and \(range.upperBound), inclusive"
    }

    /// One of these texts; an empty one is reported as missing unless it may be.
    mutating func isOne(of names: [String], _ field: Field, isRequired: Bool = true) {
        if field.text.isEmpty {
            if isRequired { required(field) }
        } else if !names.contains(field.text) {
            notSupported(field, names)
        }
    }

    mutating func isUnchanged(_ field: Field, from old: Field) {
        if field.value != old.value { invalid(field, Self.isImmutable) }
    }
}

// MARK: Names and texts

extension Findings {
    /// Every message of a text rule, at this field.
    mutating func text(_ field: Field, _ messages: [String]) {
        for message in messages { invalid(field, value: .string(field.text), message) }
    }

    mutating func name(_ field: Field, _ rule: NameRules.Rule) { text(field, NameRules.messages(field.text, rule)) }

    /// A name that may be left out.
    mutating func optionalName(_ field: Field, _ rule: NameRules.Rule) {
        if !field.text.isEmpty { name(field, rule) }
    }

    /// A name that must be there.
    mutating func requiredName(_ field: Field, _ rule: NameRules.Rule) {
        if needs(field) { name(field, rule) }
    }

    mutating func qualifiedName(_ field: Field) { text(field, NameRules.qualifiedNameMessages(field.text)) }

    /// Like `acme.io/foo` (upstream: apimachinery, util/validation, IsDomainPrefixedPath).
    mutating func domainPrefixedPath(_ field: Field) {
        if field.text.isEmpty { return required(field) }
        let parts = field.text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
            return invalid(field, "must be a domain-prefixed path (such as \"acme.io/foo\")")
        }
        for message in NameRules.messages(parts[0], .subdomain) { invalid(field, value: .string(parts[0]), message) }
        if parts[1].wholeMatch(of: /[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+/) == nil {
            let why = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"
            invalid(field, value: .string(parts[1]), why)
        }
    }

    mutating func port(_ field: Field) { isWithin(field, 1...65535) }

    mutating func portNumberOrName(_ field: Field) {
        if field.value?.string != nil {
            text(field, NameRules.portNameMessages(field.text))
        } else {
            port(field)
        }
    }

    mutating func address(_ field: Field) {
        if !AddressRules.isAddress(field.text) {
            invalid(field, value: .string(field.text), AddressRules.addressMessage)
        }
    }

    mutating func network(_ field: Field, value: String? = nil) {
        let text = value ?? field.text
        if !AddressRules.isNetwork(text) { invalid(field, value: .string(text), AddressRules.networkMessage) }
    }

    /// A path below some directory.
    mutating func descendingPath(_ field: Field, at place: Field? = nil) {
        if field.text.hasPrefix("/") { invalid(place ?? field, value: field.value, "must be a relative path") }
        noBacksteps(field, at: place)
    }

    mutating func noBacksteps(_ field: Field, at place: Field? = nil) {
        if field.text.split(separator: "/", omittingEmptySubsequences: false).contains("..") {
            invalid(place ?? field, value: field.value, "must not contain '..'")
        }
    }

    /// A path below some directory whose names the kubelet does not keep for itself.
    mutating func unreservedPath(_ field: Field) {
        descendingPath(field)
        if field.text.hasPrefix(".."), !field.text.hasPrefix("../"), field.text != ".." {
            invalid(field, "must not start with '..'")
        }
    }

    mutating func configKey(_ field: Field) {
        if needs(field) { text(field, NameRules.configKeyMessages(field.text)) }
    }

    mutating func fileMode(_ field: Field) {
        if field.exists, !(0...0o777).contains(field.number) {
            invalid(field, "must be a number between 0 and 0777 (octal), both inclusive")
        }
    }

    /// Two texts may not be equal within a list; returns whether this one is new.
    @discardableResult
    mutating func isNew(_ field: Field, in seen: inout Set<String>) -> Bool {
        if seen.insert(field.text).inserted { return true }
        duplicate(field)
        return false
    }
}
