// The port between the node agent and whatever gives a pod its address.

import Objects

/// Connects sandboxes to the pod network.
package protocol PodNetworking: Sendable {
    /// Gives the sandbox whose network namespace is at this path (`/proc/<pid>/ns/net`, or a bind mount of it) its
    /// address and returns it.
    ///
    /// Calling again for the same sandbox answers the same address and repairs what is missing in the namespace, so an
    /// agent that restarted may attach everything that it finds. Throws a Problem that says what could not be done;
    /// nothing is left half attached then.
    func attach(sandbox: String, namespacePath: String) async throws(Problem) -> String

    /// Takes the sandbox's address back. An unknown sandbox is no error.
    func detach(sandbox: String) async
}
