// Where a pod's worker finds what happened to its pod; newer sights replace older ones, so it cannot overflow.

import Formats
import Objects
import Reconciling
import Synchronization

/// The end of an action that the worker began.
enum PodResult: Sendable {
    case sandboxStarted(Result<String, StartFailure>)
    case containerStarted(String, failure: StartFailure?)
    case containerStopped(String)
    case resizeJudged([JSON], ResizeVerdict)
    case containerResized(String, to: JSON, failure: String?)
    case evicted(message: String)
    case probed(container: String, id: String, kind: ProbeKind, ProbeResult)
    case proxyWithdrew
    case sandboxRemoved(failure: Problem?)
    case podDeleted(failure: Problem?)
    case statusWritten(failure: Problem?)
}

/// Everything that came since the last look.
struct PodLetters: Sendable {
    enum Sight: Sendable {
        case shown(Object)
        case vanished
    }

    var sight: Sight?
    var observation: PodObservation?
    var isNodeStopping = false
    /// At most one per action that is under way.
    var results: [PodResult] = []
}

/// One worker's inbox.
final class PodInbox: Sendable {
    private let letters = Mutex(PodLetters())
    private let signal = Signal()

    func post(_ change: (inout PodLetters) -> Void) {
        letters.withLock { change(&$0) }
        signal.raise()
    }

    /// Everything that came; waits until there is something, or until the deadline.
    func take(until deadline: ContinuousClock.Instant?) async -> PodLetters {
        await signal.wait(until: deadline)
        return letters.withLock { letters in
            defer { letters = PodLetters() }
            return letters
        }
    }
}
