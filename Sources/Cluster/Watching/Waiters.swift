// The waiting cursors of a hub; apart from it, so that the store does not hold the hub that holds the store.

import Dispatch
import Storage
import Synchronization

/// Suspends cursors and resumes them as `HubMachine` says.
final class Waiters: Sendable {
    private typealias Machine = HubMachine<CheckedContinuation<UInt64, Never>>

    private let machine: Mutex<Machine>
    /// Only for deadlines; it is asleep otherwise.
    private let clock = DispatchQueue(label: "mangrove.watch.deadlines")

    init(revision: UInt64, limits: WatchLimits) { machine = Mutex(Machine(revision: revision, limits: limits)) }

    var waiting: Int { machine.withLock { $0.waiting } }
    var isClosed: Bool { machine.withLock { $0.isClosed } }

    func cursorOpened(prefix: String) -> UInt64? { machine.withLock { $0.cursorOpened(prefix: prefix) } }

    func cursorClosed(prefix: String) { machine.withLock { $0.cursorClosed(prefix: prefix) } }

    /// Returns the revision up to which there was nothing for the cursor, once there may be more or the time has come.
    func wait(_ cursor: UInt64, prefix: String, seen: UInt64, until deadline: ContinuousClock.Instant?) async -> UInt64
    {
        await withTaskCancellationHandler {
            await withCheckedContinuation { waker in
                let (wake, alarm) = machine.withLock { machine -> (Machine.Wake?, ContinuousClock.Instant?) in
                    // A cancellation from before this moment found nobody waiting; one from now on will.
                    if Task.isCancelled { return (Machine.Wake(waker: waker, nothingUpTo: seen), nil) }
                    let wake = machine.cursorWaited(
                        cursor, prefix: prefix, seen: seen, until: deadline, waker: waker, at: .now)
                    return (wake, machine.takeAlarm())
                }
                resume(wake)
                setAlarm(alarm)
            }
        } onCancel: {
            resume(machine.withLock { $0.waitCancelled(cursor) })
        }
    }

    func committed(_ events: [StoreEvent]) {
        let (wakes, alarm) = machine.withLock { machine in
            let wakes = machine.committed(events, at: .now)
            return (wakes, machine.takeAlarm())
        }
        for wake in wakes { resume(wake) }
        setAlarm(alarm)
    }

    func close() {
        for wake in machine.withLock({ $0.closed() }) { resume(wake) }
    }

    private func setAlarm(_ instant: ContinuousClock.Instant?) {
        guard let instant else { return }
        let pause = max(instant - .now, .zero)
        clock.asyncAfter(deadline: .now() + pause / .seconds(1)) { [weak self] in self?.timePassed() }
    }

    private func timePassed() {
        let (wakes, alarm) = machine.withLock { machine in
            let wakes = machine.timePassed(.now)
            return (wakes, machine.takeAlarm())
        }
        for wake in wakes { resume(wake) }
        setAlarm(alarm)
    }

    private func resume(_ wake: Machine.Wake?) {
        guard let wake else { return }
        wake.waker.resume(returning: wake.nothingUpTo)
    }
}
