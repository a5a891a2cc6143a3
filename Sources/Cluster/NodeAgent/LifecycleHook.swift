// What a container asks to be done right after its start or right before its end.

import Formats

/// `lifecycle.postStart` or `lifecycle.preStop`.
enum LifecycleHook: Sendable, Hashable {
    case sleep(seconds: Int)
    case check(ProbeSpecification.Check)

    /// The hook of this name, if the container has one.
    init?(_ name: String, of container: ContainerSpecification) {
        guard let tree = container.tree["lifecycle", name], !tree.isNull else { return nil }
        if let seconds = tree["sleep", "seconds"]?.integer {
            self = .sleep(seconds: seconds)
            return
        }
        var ports: [String: Int] = [:]
        for port in container.tree["ports"]?.array ?? [] {
            if let name = port["name"]?.string, let number = port["containerPort"]?.integer { ports[name] = number }
        }
        self = .check(ProbeSpecification.Check(tree, ports: ports))
    }
}
