// A queue of keys that need work: each key at most once in the queue, and never at two workers at the same time.

/// The work queue of a reconciler, after Kubernetes' `client-go/util/workqueue`.
///
/// Promises: a key added while it waits is not queued twice; a key added while a worker has it is queued again when
/// that worker is done; of several due times of a key the earliest counts. Time is a parameter: the span since a fixed
/// moment that the shell chose.
package struct WorkQueueMachine<Key: Hashable & Sendable>: Sendable {
    /// What a worker should do next.
    package enum Next: Sendable {
        /// Work on this key, then report `done` or `failed`.
        case work(Key)
        /// Nothing is ready; something will be at this time.
        case wait(until: Duration)
        /// Nothing is ready and nothing is due.
        case idle
    }

    private let backoff: Backoff
    private var ready: [Key] = []
    private var readyFrom = 0
    private var wanted: Set<Key> = []
    private var working: Set<Key> = []
    private var failures: [Key: Int] = [:]
    private var dueTimes: [Key: Duration] = [:]
    /// A binary heap by due time; an entry that `dueTimes` no longer agrees with is stale and dropped when it surfaces.
    private var heap: [(due: Duration, key: Key)] = []

    /// A queue whose failed keys come back after `backoff`; the default is upstream's: 5 ms doubling to 1000 s.
    package init(backoff: Backoff = Backoff(initial: .milliseconds(5), limit: .seconds(1000))) {
        self.backoff = backoff
    }

    /// Keys that could be worked on now.
    package var readyCount: Int { ready.count - readyFrom }
    /// Keys that wait for their time.
    package var waitingCount: Int { dueTimes.count }
    /// Keys that workers have.
    package var workingCount: Int { working.count }
    /// Whether there is nothing to do now, later or at a worker.
    package var isEmpty: Bool { wanted.isEmpty && working.isEmpty && dueTimes.isEmpty }

    /// Asks for work on a key as soon as possible.
    package mutating func add(_ key: Key) {
        guard wanted.insert(key).inserted else { return }
        if !working.contains(key) { ready.append(key) }
    }

    /// Asks for work on a key at a time.
    package mutating func add(_ key: Key, at due: Duration) {
        if let known = dueTimes[key], known <= due { return }
        dueTimes[key] = due
        push(due, key)
    }

    /// The next key for a worker. The worker owns it until it reports `done` or `failed`.
    package mutating func take(now: Duration) -> Next {
        admitDue(now: now)
        if readyFrom < ready.count {
            let key = ready[readyFrom]
            readyFrom += 1
            if readyFrom == ready.count {
                ready.removeAll(keepingCapacity: true)
                readyFrom = 0
            } else if readyFrom >= 64, readyFrom * 2 >= ready.count {
                ready.removeFirst(readyFrom)
                readyFrom = 0
            }
            wanted.remove(key)
            working.insert(key)
            return .work(key)
        }
        return heap.first.map { .wait(until: $0.due) } ?? .idle
    }

    /// A worker succeeded: its failures are forgotten.
    package mutating func done(_ key: Key) {
        failures[key] = nil
        release(key)
    }

    /// A worker failed: the key comes back after a delay that grows with its failures in a row. `random` in 0..<1 feeds
    /// the back-off's jitter. Returns the delay.
    @discardableResult
    package mutating func failed(_ key: Key, now: Duration, random: Double = 0) -> Duration {
        failures[key, default: 0] += 1
        let delay = backoff.delay(afterFailures: failures[key] ?? 1, random: random)
        release(key)
        add(key, at: now + delay)
        return delay
    }

    /// Failures of a key in a row.
    package func failureCount(of key: Key) -> Int { failures[key] ?? 0 }

    private mutating func release(_ key: Key) {
        guard working.remove(key) != nil else { return }
        if wanted.contains(key) { ready.append(key) }
    }

    private mutating func admitDue(now: Duration) {
        while let first = heap.first {
            let isCurrent = dueTimes[first.key] == first.due
            if isCurrent, first.due > now { return }
            popFirst()
            if isCurrent {
                dueTimes[first.key] = nil
                add(first.key)
            }
        }
    }

    private mutating func push(_ due: Duration, _ key: Key) {
        heap.append((due, key))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent].due <= heap[child].due { return }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    private mutating func popFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].due < heap[least].due
            {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
