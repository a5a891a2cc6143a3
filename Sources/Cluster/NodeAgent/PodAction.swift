// What a pod machine asks its shell to do.

import Formats

/// One deed. Its end is told to the machine by the past-tense method that each case names.
package enum PodAction: Sendable, Hashable {
    /// Make (or, when adopting, keep) the sandbox and give it its address: `sandboxStarted`.
    case startSandbox(isAdopted: Bool)
    /// Create and start a container; remove the one it replaces first, which was created but never started:
    /// `containerStarted`.
    case startContainer(name: String, attempt: Int, replacing: String?)
    /// Run the preStop hook, then TERM, then KILL when the grace is over; the hook's time counts: `containerStopped`.
    case stopContainer(name: String, id: String, grace: Duration)
    /// Forget a run that two later ones have followed. No answer.
    case removeContainer(id: String)
    /// Find out whether the node has room for these containers, as the spec has them: `resizeJudged`.
    case judgeResize(containers: [JSON])
    /// Keep a running container to these resources: `containerResized`.
    case resizeContainer(name: String, id: String, resources: JSON)
    /// Ask a probe once: `probed`.
    case probe(container: String, id: String, kind: ProbeKind)
    /// Wait until the service proxy sends nothing to this address any more: `proxyWithdrew`.
    case awaitWithdrawal(address: String)
    /// Stop and remove the sandbox, give its address back, remove the volumes: `sandboxRemoved`.
    case removeSandbox
    /// Delete the pod from the API for good, with its uid as precondition: `podDeleted`.
    case deletePod
    /// Write an Event about the pod, or about one of its containers. No answer.
    case report(PodEvent)
}

/// An Event to be written.
package struct PodEvent: Sendable, Hashable {
    package var isWarning: Bool
    package var reason: String
    package var message: String
    /// The container it is about; empty for the pod.
    package var container: String

    package init(warning: Bool = false, _ reason: String, _ message: String, container: String = "") {
        isWarning = warning
        self.reason = reason
        self.message = message
        self.container = container
    }
}

/// Why something could not be started, as the waiting state of containers tells it.
package struct StartFailure: Error, Sendable, Hashable {
    /// `CreateContainerConfigError`, `CreateContainerError`, …
    package var reason: String
    package var message: String

    package init(_ reason: String, _ message: String) {
        self.reason = reason
        self.message = message
    }
}
