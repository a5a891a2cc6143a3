// Checks values against a structural schema, in upstream's words.

import Formats
import Objects

/// The validation of a custom resource (upstream: kube-openapi, pkg/validation/validate).
///
/// With an old state at hand, values that did not change are not looked at again, so that an object which was stored
/// under laxer rules can still be changed elsewhere (upstream: CRDValidationRatcheting).
struct ValueCheck {
    /// Where the checked value is; empty for a whole object.
    private let base: String
    private(set) var faults: [FieldFault] = []
    /// Checks that were passed; tells which of several failed alternatives was meant.
    private(set) var passed = 0

    private init(base: String) { self.base = base }

    static func faults(
        in value: JSON, against schema: StructuralSchema, at base: String = "", old: JSON? = nil
    ) -> [FieldFault] {
        var check = ValueCheck(base: base)
        check.check(value, schema, at: "", old: old)
        return check.faults
    }

    private func fieldPath(_ path: String) -> String {
        base.isEmpty ? (path.isEmpty ? "<nil>" : path) : path.isEmpty ? base : "\(base).\(path)"
    }

    private mutating func fail(_ fault: FieldFault) { faults.append(fault) }

    private mutating func fail(_ path: String, _ value: JSON, _ detail: String) {
        fail(.invalid(fieldPath(path), value, "\(path) in body \(detail)"))
    }

    /// A failure of logic, which names no field.
    private mutating func fail(logic detail: String, at path: String) {
        fail(.invalid(base.isEmpty ? "<nil>" : base, "", "\"\(path)\" \(detail)"))
    }

    // MARK: One value

    private mutating func check(_ value: JSON, _ schema: StructuralSchema, at path: String, old: JSON?) {
        if let old, old == value { return }
        if value.isNull {
            if checkType(value, schema, at: path) { checkEnumeration(value, schema.rules, at: path) }
            return
        }
        guard checkType(value, schema, at: path) else { return }
        checkLogic(value, schema.rules, at: path)
        switch value {
        case .string(let text): checkText(text, schema.rules, at: path)
        case .integer, .number: checkNumber(value, schema, at: path)
        case .array(let elements): checkArray(elements, schema, at: path, old: old)
        default: break
        }
        checkEnumeration(value, schema.rules, at: path)
        if case .object(let members) = value { checkObject(members, schema, at: path, old: old) }
    }

    /// Whether the value is of the schema's type; otherwise nothing else about it is looked at.
    private mutating func checkType(_ value: JSON, _ schema: StructuralSchema, at path: String) -> Bool {
        let isTyped = !schema.type.isEmpty || schema.isIntOrString
        let name = schema.type.isEmpty ? "integer,string" : schema.type
        let given: String
        switch value {
        case .null:
            if !isTyped || schema.isNullable { return pass() }
            given = "null"
        case .bool: given = "boolean"
        case .integer: given = "integer"
        case .number(let number):
            // Go takes a number without a fraction for an integer.
            given =
                number == number.rounded(.towardZero) && number.magnitude < 9_007_199_254_740_992 ? "integer" : "number"
        case .string: given = "string"
        case .array: given = "array"
        case .object: given = "object"
        }
        if !isTyped || name == given || (name == "number" && given == "integer")
            || (schema.type.isEmpty && schema.isIntOrString && (given == "integer" || given == "string"))
        {
            return pass()
        }
        fail(.typeInvalid(fieldPath(path), .string(given), "\(path) in body must be of type \(name): \"\(given)\""))
        return false
    }

    private mutating func pass() -> Bool {
        passed += 1
        return true
    }

    private mutating func checkEnumeration(_ value: JSON, _ rules: ValueRules, at path: String) {
        if rules.enumeration.isEmpty { return }
        if rules.enumeration.contains(value) {
            passed += 1
            return
        }
        let names = rules.enumeration.map { $0.string ?? $0.text }
        fail(.notSupported(fieldPath(path), value, names))
    }

    // MARK: Texts and numbers

    private mutating func checkText(_ text: String, _ rules: ValueRules, at path: String) {
        let value = JSON.string(text)
        if rules.maxLength != nil || rules.minLength != nil {
            let length = text.unicodeScalars.count
            if let limit = rules.maxLength, length > limit { return fail(.tooLong(fieldPath(path), limit: limit)) }
            if let least = rules.minLength, length < least {
                return fail(path, value, "should be at least \(least) chars long")
            }
        }
        if let pattern = rules.pattern {
            switch pattern.matches(text) {
            case true?: passed += 1
            case false?: return fail(path, value, "should match '\(rules.patternText)'")
            case nil: return fail(path, "", "is too long to be matched against '\(rules.patternText)'")
            }
        }
        if rules.format.isEmpty { return }
        if StringFormat.accepts(text, rules.format) {
            passed += 1
        } else {
            fail(
                .typeInvalid(
                    fieldPath(path), value, "\(path) in body must be of type \(rules.format): \(value.text)"))
        }
    }

    private mutating func checkNumber(_ value: JSON, _ schema: StructuralSchema, at path: String) {
        guard let number = value.number else { return }
        let rules = schema.rules
        if rules.format == "int32", schema.type == "integer", number != number.rounded() || abs(number) > 2_147_483_648
        {
            fail(path, value, "must be of type integer with format int32")
        }
        if let factor = rules.multipleOf, factor > 0, !isMultiple(value, number, of: factor) {
            fail(path, value, "should be a multiple of \(GoText.number(factor))")
        }
        if let limit = rules.maximum, rules.isMaximumExclusive ? number >= limit : number > limit {
            let words = rules.isMaximumExclusive ? "less than" : "less than or equal to"
            fail(path, value, "should be \(words) \(GoText.number(limit))")
        }
        if let limit = rules.minimum, rules.isMinimumExclusive ? number <= limit : number < limit {
            let words = rules.isMinimumExclusive ? "greater than" : "greater than or equal to"
            fail(path, value, "should be \(words) \(GoText.number(limit))")
        }
        passed += 1
    }

    private func isMultiple(_ value: JSON, _ number: Double, of factor: Double) -> Bool {
        if case .integer(let integer) = value, let whole = Int64(exactly: factor) { return integer % whole == 0 }
        let quotient = number / factor
        return quotient == quotient.rounded()
    }

    // MARK: Lists and objects

    private mutating func checkArray(_ elements: [JSON], _ schema: StructuralSchema, at path: String, old: JSON?) {
        if let items = schema.items {
            let before = OldElements(old, schema)
            for (position, element) in elements.enumerated() {
                check(element, items, at: "\(path)[\(position)]", old: before.element(like: element))
            }
        }
        if let least = schema.rules.minItems, elements.count < least {
            fail(path, JSON(elements.count), "should have at least \(least) items")
        }
        if let limit = schema.rules.maxItems, elements.count > limit {
            fail(.tooMany(fieldPath(path), elements.count, limit: limit))
        }
    }

    private mutating func checkObject(_ members: JSONObject, _ schema: StructuralSchema, at path: String, old: JSON?) {
        if let least = schema.rules.minProperties, members.count < least {
            fail(path, "", "should have at least \(least) properties")
        }
        if let limit = schema.rules.maxProperties, members.count > limit {
            fail(.tooMany(fieldPath(path), members.count, limit: limit))
        }
        for member in members {
            guard let child = schema.member(member.key) else { continue }
            let place = path.isEmpty ? member.key : "\(path).\(member.key)"
            check(member.value, child, at: place, old: old?[member.key])
        }
        for name in schema.rules.required {
            if members.contains(name) {
                passed += 1
            } else {
                fail(.required(fieldPath(path.isEmpty ? name : "\(path).\(name)")))
            }
        }
    }

    // MARK: Logic

    /// The result of one clause.
    private func result(_ value: JSON, _ schema: StructuralSchema, at path: String) -> ValueCheck {
        var check = ValueCheck(base: base)
        check.check(value, schema, at: path, old: nil)
        return check
    }

    private mutating func checkLogic(_ value: JSON, _ rules: ValueRules, at path: String) {
        if !rules.anyOf.isEmpty {
            let results = rules.anyOf.map { result(value, $0, at: path) }
            if !results.contains(where: { $0.faults.isEmpty }) {
                fail(logic: "must validate at least one schema (anyOf)", at: path)
                faults += Self.nearest(results)
            }
        }
        if !rules.oneOf.isEmpty {
            let results = rules.oneOf.map { result(value, $0, at: path) }
            let valid = results.count { $0.faults.isEmpty }
            if valid != 1 {
                let found = valid == 0 ? "Found none valid" : "Found \(valid) valid alternatives"
                fail(logic: "must validate one and only one schema (oneOf). \(found)", at: path)
                if valid == 0 { faults += Self.nearest(results) }
            }
        }
        if !rules.allOf.isEmpty {
            let results = rules.allOf.map { result(value, $0, at: path) }
            for result in results { faults += result.faults }
            let valid = results.count { $0.faults.isEmpty }
            if valid != results.count {
                fail(logic: "must validate all the schemas (allOf)\(valid == 0 ? ". None validated" : "")", at: path)
            }
        }
        if let not = rules.not, result(value, not, at: path).faults.isEmpty {
            fail(logic: "must not validate the schema (not)", at: path)
        }
    }

    /// The faults of the alternative that came nearest.
    private static func nearest(_ results: [ValueCheck]) -> [FieldFault] {
        var best: ValueCheck?
        for result in results where result.passed > best?.passed ?? -1 { best = result }
        return best?.faults ?? []
    }
}

/// The elements that a list had before, found again by what tells them apart.
private struct OldElements {
    private let elements: [JSON: JSON]
    private let keys: [String]

    init(_ old: JSON?, _ schema: StructuralSchema) {
        guard case .map(let keys)? = schema.listType, let list = old?.array else {
            elements = [:]
            keys = []
            return
        }
        self.keys = keys
        elements = Dictionary(list.map { (Self.key($0, keys), $0) }, uniquingKeysWith: { first, _ in first })
    }

    func element(like element: JSON) -> JSON? { elements.isEmpty ? nil : elements[Self.key(element, keys)] }

    private static func key(_ element: JSON, _ keys: [String]) -> JSON { .array(keys.map { element[$0] ?? .null }) }
}

/// Values as Go's fmt prints them.
enum GoText {
    /// `%v` of a float64: the shortest digits, with an exponent from 10^21 on in JSON but from 10^6 (or the number of
    /// digits) on here.
    static func number(_ value: Double) -> String {
        if let whole = Int64(exactly: value) {
            let digits = String(whole.magnitude)
            let significant = digits.trimmingTrailing("0").count
            let exponent = digits.count - 1
            if exponent < 21, exponent < 6 { return String(whole) }
            let shortest = digits.prefix(significant)
            let rest = shortest.dropFirst()
            let sign = whole < 0 ? "-" : ""
            let power = exponent < 10 ? "0\(exponent)" : "\(exponent)"
            return "\(sign)\(shortest.prefix(1))\(rest.isEmpty ? "" : ".\(rest)")e+\(power)"
        }
        return "\(value)"
    }
}

extension String {
    fileprivate func trimmingTrailing(_ character: Character) -> Substring {
        var text = self[...]
        while text.last == character, text.count > 1 { text.removeLast() }
        return text
    }
}
