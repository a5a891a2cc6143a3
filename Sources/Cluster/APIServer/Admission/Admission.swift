// What a fresh object gets from, or is refused because of, other objects (upstream: the admission plugins on by default).

import Formats
import Objects

extension KubernetesAPI {
    /// Completes a fresh object and checks it against its surroundings, before validation.
    func admit(_ object: inout Object, of resource: Resource) async throws {
    }
}
