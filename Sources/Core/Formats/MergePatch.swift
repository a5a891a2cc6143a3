// JSON merge patches (RFC 7386): objects merge, null removes, everything else replaces.

package enum MergePatch {
    /// The target after the patch. Every JSON value is a merge patch, so this cannot fail.
    package static func apply(_ patch: JSON, to target: JSON) -> JSON {
        guard case .object(let changes) = patch else { return patch }
        var result = target.object ?? JSONObject()
        for change in changes {
            if change.value.isNull {
                result[change.key] = nil
            } else {
                result[change.key] = apply(change.value, to: result[change.key] ?? .null)
            }
        }
        return .object(result)
    }
}
