// What the API server does specially for a kind: defaults, what clients may not write, validation.

import Formats
import Objects

/// The rules of one kind (upstream: registry/<group>/<kind>/strategy.go). The default implementations are right for a
/// kind
/// that is only stored.
protocol Strategy: Sendable {
    /// Which names objects may have.
    var nameRule: NameRules.Rule { get }
    /// Whether `status` is written only through its own subresource.
    var hasStatus: Bool { get }
    /// Whether `metadata.generation` counts changes of `spec`.
    var hasGeneration: Bool { get }
    /// Whether a delete that removed the object answers with it rather than with a Status.
    var returnsDeleted: Bool { get }
    /// Whether a write of the status subresource leaves labels alone.
    var statusKeepsLabels: Bool { get }
    /// How objects merge in server-side apply; nil takes the schema table's word.
    var mergeType: (any MergeType)? { get }
    /// Fields that field selectors may name, beside `metadata.name` and `metadata.namespace`, and their values.
    var selectableFields: [String] { get }
    func fieldValue(_ path: String, of object: Object) -> String?

    /// Fills in what the writer left out; idempotent.
    func setDefaults(_ object: inout Object)
    /// What happens to a fresh object only.
    func prepareForCreate(_ object: inout Object)
    /// What happens when `old` becomes `object`, beside keeping `status` and counting generations.
    func prepareForUpdate(_ object: inout Object, from old: Object)
    func faults(in object: Object) -> [FieldFault]
    /// What a fresh object may not have, though it may come to have it.
    func creationFaults(in object: Object) -> [FieldFault]
    func faults(in object: Object, from old: Object) -> [FieldFault]
    /// Whether a change is checked by `faults(in:from:)` alone, so that what stays is not looked at again.
    var looksOnlyAtChanges: Bool { get }
    /// What is wrong with a new status; `object` differs from `old` in nothing else that matters.
    func statusFaults(in object: Object, from old: Object) -> [FieldFault]
    /// Sentences for the writer about what is accepted but deprecated; `old` is nil for a fresh object.
    func warnings(for object: Object, from old: Object?) -> [String]
    /// Seconds that the object lives on after a delete was accepted; nil when the kind has no graceful deletion.
    func gracePeriodSeconds(of object: Object, asked: Int?) -> Int?
}

extension Strategy {
    var nameRule: NameRules.Rule { .subdomain }
    var hasStatus: Bool { false }
    var hasGeneration: Bool { false }
    var returnsDeleted: Bool { false }
    var statusKeepsLabels: Bool { false }
    var mergeType: (any MergeType)? { nil }
    var selectableFields: [String] { [] }
    func fieldValue(_ path: String, of object: Object) -> String? {
        guard let value = object.tree.value(at: path.split(separator: ".").map(String.init)) else { return nil }
        return value.string ?? value.text
    }
    func setDefaults(_ object: inout Object) {}
    func prepareForCreate(_ object: inout Object) {}
    func prepareForUpdate(_ object: inout Object, from old: Object) {}
    func faults(in object: Object) -> [FieldFault] { [] }
    func creationFaults(in object: Object) -> [FieldFault] { [] }
    func faults(in object: Object, from old: Object) -> [FieldFault] { [] }
    var looksOnlyAtChanges: Bool { false }
    func statusFaults(in object: Object, from old: Object) -> [FieldFault] { [] }
    func warnings(for object: Object, from old: Object?) -> [String] { [] }
    func gracePeriodSeconds(of object: Object, asked: Int?) -> Int? { nil }
}

/// A kind that is stored as it is written.
struct PlainStrategy: Strategy {
    var nameRule: NameRules.Rule = .subdomain
    var hasStatus = false
    var hasGeneration = false
    var returnsDeleted = false
    var selectableFields: [String] = []
}
