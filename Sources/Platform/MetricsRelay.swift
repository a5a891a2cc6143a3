// Lets every room add to the API server's `/metrics`, which is built before them.

import Formats
import Synchronization

/// The writers of metrics, called in the order in which they were added.
final class MetricsRelay: Sendable {
    private let writers = Mutex<[@Sendable (inout MetricsText) -> Void]>([])

    func add(_ writer: @escaping @Sendable (inout MetricsText) -> Void) { writers.withLock { $0.append(writer) } }

    func write(to text: inout MetricsText) {
        for writer in writers.withLock({ $0 }) { writer(&text) }
    }
}
