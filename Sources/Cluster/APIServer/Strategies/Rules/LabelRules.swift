// Checks of labels, selectors, counts that may be percentages, and conditions (upstream: apimachinery,
// pkg/apis/meta/v1/validation).

import Formats
import Objects

extension Findings {
    mutating func labels(_ field: Field) { add(NameRules.labelFaults(field.value, at: field.path.description)) }

    mutating func labelName(_ field: Field) { qualifiedName(field) }

    /// A `metav1.LabelSelector`.
    mutating func labelSelector(_ field: Field) {
        guard field.exists else { return }
        labels(field["matchLabels"])
        for expression in field["matchExpressions"].elements {
            let values = expression["values"]
            switch expression["operator"].text {
            case "In", "NotIn":
                if values.isEmpty { required(values, "must be specified when `operator` is 'In' or 'NotIn'") }
            case "Exists", "DoesNotExist":
                forbids(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
            default:
                invalid(
                    expression["operator"], value: .string(expression["operator"].text), "not a valid selector operator"
                )
            }
            labelName(expression["key"])
            for value in values.elements { text(value, NameRules.labelValueMessages(value.text)) }
        }
    }

    static let percentMessage =
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used "
        + "for validation is '[0-9]+%')"

    /// A count or a percentage, neither negative.
    mutating func countOrPercent(_ field: Field) {
        switch field.value {
        case .some(.string(let given)):
            if !Self.isPercent(given) { invalid(field, Self.percentMessage) }
        case .some(.integer): isNotNegative(field)
        case nil: break
        default: invalid(field, "must be an integer or percentage (e.g '5%%')")
        }
    }

    /// A percentage above 100 is one too many.
    mutating func notMoreThanAll(_ field: Field) {
        if let percent = Self.percent(field.value), percent > 100 { invalid(field, "must not be greater than 100%") }
    }

    static func isPercent(_ text: String) -> Bool { text.wholeMatch(of: /[0-9]+%/) != nil }

    static func percent(_ value: JSON?) -> Int? {
        guard let text = value?.string, isPercent(text) else { return nil }
        return Int(text.dropLast())
    }

    /// Whether a count or percentage is nothing at all.
    static func isNothing(_ value: JSON?) -> Bool { value == nil || value == 0 || percent(value) == 0 }

    /// `status.conditions` of the newer kinds.
    mutating func conditions(_ field: Field) {
        var types: Set<String> = []
        for condition in field.elements {
            let type = condition["type"]
            if needs(type, "must be set") {
                qualifiedName(type)
                if !types.insert(type.text).inserted { duplicate(type) }
            }
            isOne(of: ["False", "True", "Unknown"], condition["status"], isRequired: false)
            if condition["lastTransitionTime"].isEmpty { required(condition["lastTransitionTime"], "must be set") }
            if condition["reason"].isEmpty { required(condition["reason"], "must be set") }
        }
    }
}
