// Validation of what a pod says about where it wants to run.

import Formats
import Objects

extension Findings {
    mutating func affinity(_ field: Field) {
        let required = "requiredDuringSchedulingIgnoredDuringExecution"
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
        let node = field["nodeAffinity"]
        if node[required].exists { nodeSelector(node[required]) }
        for term in node[preferred].elements {
            weight(term["weight"])
            nodeSelectorTerm(term["preference"], checksValues: false)
        }
        for kind in ["podAffinity", "podAntiAffinity"] {
            for term in field[kind][required].elements { podTerm(term) }
            for term in field[kind][preferred].elements {
                weight(term["weight"])
                podTerm(term["podAffinityTerm"])
            }
        }
    }

    private mutating func weight(_ field: Field) {
        if !(1...100).contains(field.number) { invalid(field, value: JSON(field.number), "must be in the range 1-100") }
    }

    mutating func nodeSelector(_ field: Field) {
        let terms = field["nodeSelectorTerms"]
        if terms.isEmpty { return required(terms, "must have at least one node selector term") }
        for term in terms.elements { nodeSelectorTerm(term, checksValues: true) }
    }

    private mutating func nodeSelectorTerm(_ field: Field, checksValues: Bool) {
        for requirement in field["matchExpressions"].elements {
            let values = requirement["values"]
            switch requirement["operator"].text {
            case "In", "NotIn":
                if values.isEmpty { required(values, "must be specified when `operator` is 'In' or 'NotIn'") }
            case "Exists", "DoesNotExist":
                forbids(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
            case "Gt", "Lt":
                if values.count != 1 {
                    required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'")
                }
            default: unknownOperator(requirement)
            }
            labelName(requirement["key"])
            guard checksValues else { continue }
            for value in values.elements { text(value, NameRules.labelValueMessages(value.text)) }
        }
        for requirement in field["matchFields"].elements {
            let values = requirement["values"]
            if ["In", "NotIn"].contains(requirement["operator"].text) {
                if values.count != 1 {
                    let why = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
                    required(values, why)
                }
            } else {
                unknownOperator(requirement)
            }
            if requirement["key"].text != "metadata.name" {
                invalid(requirement["key"], value: .string(requirement["key"].text), "not a valid field selector key")
            } else {
                for value in values.elements { name(value, .subdomain) }
            }
        }
    }

    private mutating func unknownOperator(_ requirement: Field) {
        let field = requirement["operator"]
        invalid(field, value: .string(field.text), "not a valid selector operator")
    }

    private mutating func podTerm(_ field: Field) {
        labelSelector(field["labelSelector"])
        labelSelector(field["namespaceSelector"])
        for namespace in field["namespaces"].elements {
            text(Field(path: field["namespace"].path, namespace.value), NameRules.messages(namespace.text, .label))
        }
        needs(field["topologyKey"], "can not be empty")
        labelName(field["topologyKey"])
    }

    mutating func tolerations(_ field: Field) {
        for toleration in field.elements {
            let key = toleration["key"]
            let operation = toleration["operator"]
            let effect = toleration["effect"]
            if !key.isEmpty { labelName(key) }
            if key.isEmpty, operation.text != "Exists" {
                let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\""
                invalid(operation, value: .string(operation.text), why)
            }
            if toleration["tolerationSeconds"].exists, effect.text != "NoExecute" {
                let why = "effect must be 'NoExecute' when `tolerationSeconds` is set"
                invalid(effect, value: .string(effect.text), why)
            }
            let value = toleration["value"]
            switch operation.text {
            case "Equal", "":
                let messages = NameRules.labelValueMessages(value.text)
                if !messages.isEmpty { invalid(operation, value: value.value, messages.joined(separator: ";")) }
            case "Exists":
                if !value.isEmpty {
                    invalid(operation, value: value.value, "value must be empty when `operator` is 'Exists'")
                }
            default: notSupported(operation, ["Equal", "Exists"])
            }
            isOne(of: Self.taintEffects, effect, isRequired: false)
        }
    }

    static let taintEffects = ["NoSchedule", "PreferNoSchedule", "NoExecute"]

    mutating func topologySpread(_ field: Field) {
        var seen: Set<String> = []
        for constraint in field.elements {
            let skew = constraint["maxSkew"]
            if skew.number <= 0 { invalid(skew, value: JSON(skew.number), "must be greater than zero") }
            let key = constraint["topologyKey"]
            needs(key, "can not be empty")
            let action = constraint["whenUnsatisfiable"]
            if !["DoNotSchedule", "ScheduleAnyway"].contains(action.text) {
                notSupported(action, ["DoNotSchedule", "ScheduleAnyway"], value: .string(action.text))
            }
            let pair = "{\(key.text), \(action.text)}"
            if !seen.insert(pair).inserted {
                duplicate(constraint["{topologyKey, whenUnsatisfiable}"], value: .string(pair))
            }
            let domains = constraint["minDomains"]
            if domains.exists {
                if domains.number <= 0 { invalid(domains, "must be greater than zero") }
                if action.text != "DoNotSchedule" {
                    let why = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not \(action.text)"
                    invalid(domains, why)
                }
            }
            for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] where constraint[policy].exists {
                if !["Honor", "Ignore"].contains(constraint[policy].text) {
                    notSupported(constraint[policy], ["Honor", "Ignore"])
                }
            }
            labelSelector(constraint["labelSelector"])
        }
    }
}
