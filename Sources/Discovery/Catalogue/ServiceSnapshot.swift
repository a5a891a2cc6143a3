// What consumers see of a service at one version: the writers' records, and the same merged into instances.

/// An immutable view of one service.
package struct ServiceSnapshot: Sendable, Equatable {
    package let service: ServiceName
    /// Grows with every change of the service that can be seen; also across restarts, as it starts from the clock.
    package let version: UInt64
    /// Every record in its writer's words, those at withdrawn addresses left out; ordered by address, port, origin.
    package let records: [Instance]
    /// One instance for each address and port: what a consumer is shown.
    package let instances: [Instance]

    init(service: ServiceName, version: UInt64, records: [Instance]) {
        self.service = service
        self.version = version
        self.records = records
        instances = Self.merged(records)
    }

    package var isEmpty: Bool { records.isEmpty }

    /// The addresses of `records`.
    package var addresses: Set<String> { Set(records.flatMap(\.addresses)) }

    /// Whether any record is at this address.
    package func shows(_ address: String) -> Bool {
        records.contains { $0.address == address || $0.furtherAddresses.contains(address) }
    }

    /// Instances that take calls, and all; for thresholds that protect from losing most of them at once.
    package var counts: (ready: Int, all: Int) { (instances.count { $0.takesCalls }, instances.count) }

    /// The instances that no record of this origin stands behind: what may be exported to that world without an echo.
    package func instances(foreignTo origin: Origin) -> [Instance] {
        let own = Dictionary(grouping: records.filter { $0.origin == origin }, by: \.address)
        guard !own.isEmpty else { return instances }
        return instances.filter { instance in
            instance.origin != origin && own[instance.address]?.contains { $0.answers(at: instance.port) } != true
        }
    }

    /// Whose words are shown first where several origins declare one place: the richest.
    private static let precedence: [Origin] = [.nacos, .zookeeper, .eureka, .kubernetes]

    /// Brings the records of different origins for one address and port together.
    ///
    /// A pod that also registers itself is one instance, and so is a program that registers in two registries. The
    /// words of one are kept: its own registration's rather than what is implied, and Kubernetes' last. Healthy and
    /// enabled is only what every origin holds for so.
    private static func merged(_ records: [Instance]) -> [Instance] {
        guard let first = records.first, records.contains(where: { $0.origin != first.origin }) else { return records }
        var result: [Instance] = []
        result.reserveCapacity(records.count)
        var start = 0
        while start < records.count {
            var end = start + 1
            while end < records.count, records[end].address == records[start].address { end += 1 }
            result += end == start + 1 ? records[start..<end] : mergedAtOneAddress(records[start..<end])[...]
            start = end
        }
        return result
    }

    private static func mergedAtOneAddress(_ records: ArraySlice<Instance>) -> [Instance] {
        var result: [Instance] = []
        let ordered =
            precedence.flatMap { origin in records.filter { $0.origin == origin && !$0.isImplied } }
            + precedence.flatMap { origin in records.filter { $0.origin == origin && $0.isImplied } }
        for record in ordered {
            // Clusters of one origin stay apart; another origin's word about a place that is taken only adds to it.
            let isKnown = result.contains { $0.origin != record.origin && isOne($0, record) }
            if !isKnown { result.append(record) }
        }
        for index in result.indices {
            for other in records where other.origin != result[index].origin && isOne(result[index], other) {
                if !other.isHealthy, result[index].isHealthy { result[index].isHealthy = false }
                if !other.isEnabled, result[index].isEnabled { result[index].isEnabled = false }
            }
        }
        return result
    }

    private static func isOne(_ left: Instance, _ right: Instance) -> Bool {
        // Only Kubernetes knows several ports of one place; for others they are instances of their own.
        left.port == right.port || left.origin == .kubernetes && left.answers(at: right.port)
            || right.origin == .kubernetes && right.answers(at: left.port)
    }
}
