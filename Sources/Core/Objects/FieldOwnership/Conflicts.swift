// Fields that an applier wants otherwise than those who own them.

import Formats

/// Conflicting fields by owner, in upstream's words (apimachinery, `util/managedfields/internal/conflict.go`).
package struct Conflicts: Sendable, Hashable {
    package private(set) var owners: [(writer: FieldWriter, fields: FieldSet)]

    /// Keeps the owners whose sets have members, ordered by how they are named.
    init(_ owners: [(FieldWriter, FieldSet)]) {
        self.owners = owners.filter { !$0.1.isEmpty }.sorted { $0.0.description < $1.0.description }
            .map { (writer: $0.0, fields: $0.1) }
    }

    package var isEmpty: Bool { owners.isEmpty }

    /// The fields of all owners.
    package var fields: FieldSet { owners.reduce(FieldSet()) { $0.union($1.fields) } }

    /// The conflicts about other fields than these.
    func without(_ allowed: FieldSet) -> Conflicts {
        Conflicts(owners.map { ($0.writer, $0.fields.subtracting(allowed)) })
    }

    /// `conflict with "kubectl-client-side-apply" using apps/v1` and the path, one for each field.
    package var causes: [(message: String, field: String)] {
        owners.flatMap { owner in
            owner.fields.paths.map { ("conflict with \(owner.writer.description)", $0.description) }
        }
    }

    package var message: String {
        let count = owners.reduce(0) { $0 + $1.fields.paths.count }
        if count == 1, let owner = owners.first, let path = owner.fields.paths.first {
            return "Apply failed with 1 conflict: conflict with \(owner.writer.description): \(path)"
        }
        let lines = owners.flatMap { owner in
            ["conflicts with \(owner.writer.description):"] + owner.fields.paths.map { "- \($0)" }
        }
        return "Apply failed with \(count) conflicts: \(lines.joined(separator: "\n"))"
    }

    package static func == (left: Conflicts, right: Conflicts) -> Bool {
        left.owners.elementsEqual(right.owners) { $0.writer == $1.writer && $0.fields == $1.fields }
    }

    package func hash(into hasher: inout Hasher) {
        for owner in owners {
            hasher.combine(owner.writer)
            hasher.combine(owner.fields)
        }
    }
}
