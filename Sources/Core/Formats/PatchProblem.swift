// Why a patch could not be applied.

/// A patch that cannot be applied. The two kinds get different answers from an API server.
package enum PatchProblem: Error, Hashable, CustomStringConvertible {
    /// The patch is not a patch: 400.
    case malformed(String)
    /// The patch does not fit the value it was applied to: 422.
    case inapplicable(String)

    package var message: String {
        switch self {
        case .malformed(let message), .inapplicable(let message): message
        }
    }

    package var description: String { message }
}
