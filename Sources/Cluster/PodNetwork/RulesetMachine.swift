// When to apply a ruleset and whom to tell that an address gets no new connections any more.

/// The pure half of the service proxy.
///
/// Invariants: one application at a time; a ruleset whose text is the applied one is not applied again; a waiter is
/// released only by an applied ruleset without its address, or when the proxy stops.
struct RulesetMachine {
    typealias Waiter = UInt64

    enum State: Equatable {
        /// Nothing applied by this process: the kernel may hold the rules of an earlier one.
        case starting
        case applied(Ruleset)
        /// No rules are or will be applied; nothing is sent anywhere by this proxy.
        case stopped
    }

    /// Who waits at most; the next one is told at once that it cannot wait.
    static let waiterLimit = 10_000

    private(set) var state = State.starting
    private(set) var waiting: [Waiter: IPv4Address] = [:]
    /// Addresses that were asked to be left; they stay here while the picture shows them as terminating.
    private(set) var withdrawing: Set<IPv4Address> = []
    private var nextWaiter: Waiter = 0

    enum Asked: Equatable {
        /// No rule sends anything there.
        case withdrawn
        /// Wait, and build a new ruleset: the request itself may change it.
        case wait(Waiter)
        case refused
    }

    mutating func withdrawalAsked(of address: IPv4Address) -> Asked {
        switch state {
        case .stopped: return .withdrawn
        case .applied(let ruleset) where !ruleset.targets.contains(address): return .withdrawn
        case .applied, .starting: break
        }
        guard waiting.count < Self.waiterLimit else { return .refused }
        nextWaiter += 1
        waiting[nextWaiter] = address
        withdrawing.insert(address)
        return .wait(nextWaiter)
    }

    /// The waiter went away by itself.
    mutating func waiterLeft(_ waiter: Waiter) { waiting[waiter] = nil }

    /// Whether the ruleset of the newest picture has to be applied. `terminating` is what that picture shows.
    mutating func pictureRead(_ ruleset: Ruleset, terminating: Set<IPv4Address>) -> Bool {
        let asked = Set(waiting.values)
        withdrawing = withdrawing.filter { terminating.contains($0) || asked.contains($0) }
        guard case .applied(let applied) = state else { return true }
        return applied.text != ruleset.text
    }

    /// The kernel has these rules now; returns who is to be released.
    mutating func rulesetApplied(_ ruleset: Ruleset) -> [Waiter] {
        state = .applied(ruleset)
        return release { !ruleset.targets.contains($0) }
    }

    /// The proxy will apply nothing more; returns who is to be released: all.
    mutating func proxyStopped() -> [Waiter] {
        state = .stopped
        withdrawing = []
        return release { _ in true }
    }

    mutating func proxyStarted() { state = .starting }

    /// Somebody else took the rules out of the kernel; whatever the picture is, they have to be applied.
    mutating func rulesLost() { if case .applied = state { state = .starting } }

    /// The rules that this process gave the kernel last.
    var applied: Ruleset? {
        if case .applied(let ruleset) = state { return ruleset }
        return nil
    }

    private mutating func release(_ isFree: (IPv4Address) -> Bool) -> [Waiter] {
        let free = waiting.filter { isFree($0.value) }.keys.sorted()
        for waiter in free { waiting[waiter] = nil }
        return free
    }
}
