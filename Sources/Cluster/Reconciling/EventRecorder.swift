// Tells people what happened to an object: writes Kubernetes Events in the background.

import Client
import Formats
import Logging
import Objects
import Synchronization

/// Records Events. Recording never waits and never fails the caller; needs `run()` to be running.
package final class EventRecorder: Sendable {
    private let client: KubernetesClient
    private let clock: WallClock
    private let logger: Logger
    private let machine: Mutex<EventRecorderMachine>
    private let signal = Signal()

    /// `component` is who reports (`deployment-controller`, `kubelet`), `host` the node it runs on, if any.
    package init(
        client: KubernetesClient, component: String, host: String = "", clock: WallClock = .system, logger: Logger
    ) {
        self.client = client
        self.clock = clock
        self.logger = logger
        machine = Mutex(EventRecorderMachine(component: component, host: host))
    }

    /// Records that something happened to an object. `fieldPath` narrows it, like `spec.containers{web}`.
    package func record(
        _ object: Object, _ kind: EventKind, reason: String, message: String, fieldPath: String = ""
    ) {
        var about: JSON = [
            "kind": .string(object.kind), "name": .string(object.name), "uid": .string(object.uid),
            "apiVersion": .string(object.apiVersion),
        ]
        // Without the revision, so that the same thing about a newer revision counts up.
        if !object.namespace.isEmpty { about["namespace"] = .string(object.namespace) }
        if !fieldPath.isEmpty { about["fieldPath"] = .string(fieldPath) }
        let notice = Notice(
            about: about, namespace: object.namespace.isEmpty ? "default" : object.namespace, kind: kind,
            reason: reason, message: message, time: clock.now())
        machine.withLock { $0.recorded(notice) }
        signal.raise()
    }

    /// Writes what was recorded until cancelled.
    package func run() async {
        while !Task.isCancelled {
            while !Task.isCancelled, let action = machine.withLock({ $0.next() }) { await perform(action) }
            await signal.wait()
        }
    }

    private func perform(_ action: EventRecorderMachine.Action) async {
        do {
            switch action {
            case .create(let event): try await client.create(.events, event)
            case .patch(let key, let patch):
                do {
                    try await client.patch(.events, key, .merge, patch)
                } catch let problem as Problem where problem.code == 404 {
                    machine.withLock { $0.vanished(key) }
                }
            }
        } catch {
            // An Event about an object of a namespace that is going is refused; Events are no promise.
            logger.debug("event was not written", metadata: ["error": "\(error)"])
        }
    }
}
