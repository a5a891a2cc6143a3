// Validation of the pod templates of workloads, and of the selectors that have to match them.

import Formats
import Objects

extension Findings {
    mutating func podTemplate(_ template: Field) {
        labels(template["metadata"]["labels"].at(template["labels"]))
        annotationKeys(template["metadata"]["annotations"], at: template["annotations"])
        podSpec(template["spec"], isPod: false)
        forbids(template["spec"]["ephemeralContainers"], "ephemeral containers not allowed in pod template")
    }

    mutating func annotationKeys(_ field: Field, at place: Field) {
        for (key, _) in field.entries {
            for message in NameRules.qualifiedNameMessages(key.lowercased()) {
                invalid(place, value: .string(key), message)
            }
        }
    }

    /// A workload's selector is there, sound, not empty, and chooses the pods that the template makes.
    mutating func workloadSelector(_ spec: Field, kind: String, isRequired: Bool = true) {
        let selector = spec["selector"]
        guard selector.exists else {
            if isRequired { required(selector) }
            return
        }
        labelSelector(selector)
        if selector["matchLabels"].isEmpty, selector["matchExpressions"].isEmpty {
            invalid(selector, "empty selector is invalid for \(kind)")
        }
    }

    mutating func templateMatches(_ spec: Field) {
        guard let tree = spec["selector"].value, let selector = try? LabelSelector(tree), !selector.isEmpty else {
            return
        }
        let labels = spec["template"]["metadata"]["labels"]
        if !selector.matches(labels.labels) {
            invalid(labels, value: labels.value ?? [:], "`selector` does not match template `labels`")
        }
    }

    /// Pods of these kinds run until they are taken away.
    mutating func runsForever(_ template: Field, kind: String) {
        let spec = template["spec"]
        if spec["restartPolicy"].text != "Always" {
            notSupported(spec["restartPolicy"], ["Always"], value: .string(spec["restartPolicy"].text))
        }
        if spec["activeDeadlineSeconds"].exists {
            forbidden(spec["activeDeadlineSeconds"], "activeDeadlineSeconds in \(kind) is not Supported")
        }
    }
}

extension Field {
    /// The same value, reported at another place.
    func at(_ place: Field) -> Field { Field(path: place.path, value) }
}
