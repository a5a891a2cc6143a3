// The parts of a pod's spec that the pod machine decides by, read once.

import Formats
import Objects

/// When a container that ended is started again.
package enum RestartPolicy: String, Sendable {
    case always = "Always"
    case onFailure = "OnFailure"
    case never = "Never"
}

/// A container of a pod.
package struct ContainerSpecification: Sendable, Hashable {
    package enum Role: Sendable, Hashable {
        /// Runs to its end before the next one starts.
        case initial
        /// An init container with `restartPolicy: Always`: starts in its turn and runs as long as the pod.
        case sidecar
        case main
        /// Added to a running pod for a person (`kubectl debug`); runs once, and the pod does not depend on it.
        case ephemeral
    }

    package let name: String
    package let image: String
    package let role: Role
    /// The container as the API has it, with the resources that it was granted.
    package private(set) var tree: JSON
    package let probes: [ProbeKind: ProbeSpecification]
    /// `spec.containers{web}`: where events about it point.
    package var fieldPath: String {
        switch role {
        case .main: "spec.containers{\(name)}"
        case .initial, .sidecar: "spec.initContainers{\(name)}"
        case .ephemeral: "spec.ephemeralContainers{\(name)}"
        }
    }

    init(_ tree: JSON, role: Role) {
        self.tree = tree
        self.role = role
        name = tree["name"]?.string ?? ""
        image = tree["image"]?.string ?? ""
        var ports: [String: Int] = [:]
        for port in tree["ports"]?.array ?? [] {
            if let name = port["name"]?.string, let number = port["containerPort"]?.integer { ports[name] = number }
        }
        var probes: [ProbeKind: ProbeSpecification] = [:]
        if role == .sidecar || role == .main {
            for kind in ProbeKind.allCases {
                if let probe = tree[kind.field], !probe.isNull {
                    probes[kind] = ProbeSpecification(probe, ports: ports)
                }
            }
        }
        self.probes = probes
    }

    /// The container has these resources from now on.
    mutating func allocate(_ resources: JSON) { tree["resources"] = resources }
}

/// A pod's spec and identity; as far as the machine reads them, only ephemeral containers, the deadline and the
/// resources that were granted ever change.
package struct PodSpecification: Sendable {
    package let key: ObjectKey
    package let uid: String
    /// Init containers and sidecars in their order, then the main containers, then those that were added.
    package private(set) var containers: [ContainerSpecification]
    package let restartPolicy: RestartPolicy
    package let gracePeriodSeconds: Int
    package let isOnHostNetwork: Bool
    package let readinessGates: [String]
    /// How long the pod may be active, from its start.
    package private(set) var activeDeadlineSeconds: Int?

    package static let usualGracePeriodSeconds = 30

    package init(_ pod: Object) {
        key = pod.key
        uid = pod.uid
        let initial = (pod.spec["initContainers"]?.array ?? []).map {
            ContainerSpecification($0, role: $0["restartPolicy"]?.string == "Always" ? .sidecar : .initial)
        }
        containers = initial + (pod.spec["containers"]?.array ?? []).map { ContainerSpecification($0, role: .main) }
        restartPolicy = pod.spec["restartPolicy"]?.string.flatMap(RestartPolicy.init(rawValue:)) ?? .always
        gracePeriodSeconds = pod.spec["terminationGracePeriodSeconds"]?.integer ?? Self.usualGracePeriodSeconds
        isOnHostNetwork = pod.spec["hostNetwork"]?.bool ?? false
        readinessGates = (pod.spec["readinessGates"]?.array ?? []).compactMap { $0["conditionType"]?.string }
        podChanged(pod)
    }

    /// Takes in what may change of a pod's spec; returns the containers that came to it.
    @discardableResult
    mutating func podChanged(_ pod: Object) -> [ContainerSpecification] {
        activeDeadlineSeconds = pod.spec["activeDeadlineSeconds"]?.integer
        let known = Set(containers.map(\.name))
        let fresh = (pod.spec["ephemeralContainers"]?.array ?? []).map { ContainerSpecification($0, role: .ephemeral) }
            .filter { !known.contains($0.name) }
        containers += fresh
        return fresh
    }

    mutating func allocate(_ resources: JSON, to name: String) {
        for index in containers.indices where containers[index].name == name { containers[index].allocate(resources) }
    }

    /// Images that no runtime of this program can run; empty when the pod can be started.
    package var foreignImages: [String] {
        containers.filter { $0.role != .ephemeral }.map(\.image).filter { $0 != Self.hostImage }
    }

    /// The image that stands for this machine's own file system.
    package static let hostImage = "host"
}
