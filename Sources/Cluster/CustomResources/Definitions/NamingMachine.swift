// Which definition may use which names, and what its conditions say of that.

import Formats
import Objects

/// Decides over all definitions at once; those that came first keep their names (upstream: pkg/controller/status,
/// pkg/controller/establish and pkg/controller/apiapproval).
package struct NamingMachine: Sendable {
    /// The status that a definition should have, where it has another one.
    package struct Action: Sendable, Hashable {
        package var name: String
        package var acceptedNames: JSON
        package var conditions: [JSON]
    }

    private var definitions: [Object]

    package init(_ definitions: [Object]) { self.definitions = definitions }

    /// What there is to write, given the time for conditions that change.
    package mutating func settled(at moment: String) -> [Action] {
        var actions: [Action] = []
        // Names are given in the order of age, so that the outcome does not depend on who asks first.
        let order = definitions.indices.sorted { left, right in
            let (one, other) = (definitions[left], definitions[right])
            return (one.creationTimestamp ?? "", one.name) < (other.creationTimestamp ?? "", other.name)
        }
        for position in order {
            let old = definitions[position]
            let new = decided(old, among: definitions, at: moment)
            if new["status"] == old["status"] { continue }
            definitions[position] = new
            actions.append(
                Action(
                    name: new.name, acceptedNames: new["status", "acceptedNames"] ?? .null,
                    conditions: new["status", "conditions"]?.array ?? []))
        }
        return actions
    }

    private func decided(_ object: Object, among all: [Object], at moment: String) -> Object {
        var object = object
        let wanted = DefinitionNames(object["spec", "names"])
        let given = DefinitionNames(object["status", "acceptedNames"])
        if given != wanted || object.condition("NamesAccepted") == nil {
            let taken = Taken(by: all.filter { $0.name != object.name }, in: object["spec", "group"]?.string ?? "")
            let (names, conflict) = Self.resolve(wanted, given, taken)
            object["status", "acceptedNames"] = names.tree
            Self.set(
                "NamesAccepted", conflict == nil, conflict?.reason ?? "NoConflicts",
                conflict?.message ?? "no conflicts found", in: &object, at: moment)
        }
        if !object.isTrue("Established") {
            if object.isTrue("NamesAccepted") {
                let why = "the initial names have been accepted"
                Self.set("Established", true, "InitialNamesAccepted", why, in: &object, at: moment)
            } else {
                Self.set("Established", false, "NotAccepted", "not all names are accepted", in: &object, at: moment)
            }
        }
        Self.setApproval(in: &object, at: moment)
        return object
    }

    // MARK: Names

    private struct Taken {
        var resources: Set<String> = []
        var kinds: Set<String> = []

        init(by others: [Object], in group: String) {
            for other in others where other["spec", "group"]?.string == group {
                let names = DefinitionNames(other["status", "acceptedNames"])
                resources.formUnion([names.plural, names.singular] + names.shortNames)
                kinds.formUnion([names.kind, names.listKind])
            }
        }
    }

    private static func resolve(
        _ wanted: DefinitionNames, _ given: DefinitionNames, _ taken: Taken
    ) -> (DefinitionNames, (reason: String, message: String)?) {
        var names = given
        var conflict: (reason: String, message: String)?
        func take(_ field: WritableKeyPath<DefinitionNames, String>, _ reason: String, from taken: Set<String>) {
            let name = wanted[keyPath: field]
            if name == given[keyPath: field] || !taken.contains(name) {
                names[keyPath: field] = name
            } else {
                conflict = (reason, "\"\(name)\" is already in use")
            }
        }
        take(\.plural, "PluralConflict", from: taken.resources)
        take(\.singular, "SingularConflict", from: taken.resources)
        let fresh = wanted.shortNames.filter { !given.shortNames.contains($0) && taken.resources.contains($0) }
        if fresh.isEmpty {
            names.shortNames = wanted.shortNames
        } else {
            let lines = fresh.map { "\"\($0)\" is already in use" }
            conflict = ("ShortNamesConflict", lines.count == 1 ? lines[0] : "[\(lines.joined(separator: ", "))]")
        }
        take(\.kind, "KindConflict", from: taken.kinds)
        take(\.listKind, "ListKindConflict", from: taken.kinds)
        names.categories = wanted.categories
        return (names, conflict)
    }

    // MARK: Conditions

    private static func setApproval(in object: inout Object, at moment: String) {
        let type = "KubernetesAPIApprovalPolicyConformant"
        switch ApprovalPolicy(object) {
        case .unneeded: break
        case .approved(let link):
            set(type, true, "ApprovedAnnotation", "approved in \(link)", in: &object, at: moment)
        case .bypassed(let why):
            set(type, false, "UnapprovedAnnotation", "not approved: \"\(why)\"", in: &object, at: moment)
        case .missing:
            set(
                type, false, "MissingAnnotation",
                "protected groups must have approval annotation \"\(ApprovalPolicy.annotation)\", see "
                    + "https://github.com/kubernetes/enhancements/pull/1111", in: &object, at: moment)
        case .invalid(let value):
            set(
                type, false, "InvalidAnnotation", "\(ApprovalPolicy.annotation) is \"\(value)\"", in: &object,
                at: moment)
        }
    }

    /// Sets a condition; the transition time is new only when the status is.
    package static func set(
        _ type: String, _ isTrue: Bool, _ reason: String, _ message: String, in object: inout Object, at moment: String
    ) {
        var conditions = object["status", "conditions"]?.array ?? []
        let position = conditions.firstIndex { $0["type"]?.string == type }
        let old = position.map { conditions[$0] }
        let status: JSON = isTrue ? "True" : "False"
        let since = old?["status"] == status ? old?["lastTransitionTime"] : nil
        let condition: JSON = [
            "type": .string(type), "status": status, "lastTransitionTime": since ?? .string(moment),
            "reason": .string(reason), "message": .string(message),
        ]
        if let position { conditions[position] = condition } else { conditions.append(condition) }
        object["status", "conditions"] = .array(conditions)
    }
}
