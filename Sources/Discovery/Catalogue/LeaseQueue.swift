// When each lease has to be looked at next.

/// A heap of times. An entry may be out of date, as beats do not touch it: whoever takes one asks the record.
struct LeaseQueue: Sendable {
    private var heap: [(time: ContinuousClock.Instant, number: RecordNumber)] = []

    mutating func add(_ number: RecordNumber, at time: ContinuousClock.Instant) {
        heap.append((time, number))
        var child = heap.count - 1
        while child > 0, heap[child].time < heap[(child - 1) / 2].time {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes the earliest entry that is due.
    mutating func takeDue(_ now: ContinuousClock.Instant) -> RecordNumber? {
        guard let first = heap.first, first.time <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        return first.number
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, heap[child + 1].time < heap[child].time { child += 1 }
            guard heap[child].time < heap[parent].time else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}
