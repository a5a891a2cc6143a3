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
    /// The addresses of `records`.
    package let addresses: Set<String>

    init(service: ServiceName, version: UInt64, records: [Instance]) {
        self.service = service
        self.version = version
        self.records = records
        instances = Self.merged(records)
        addresses = Set(records.map(\.address))
    }

    package var isEmpty: Bool { records.isEmpty }

    /// The instances that no record of this origin stands behind: what may be exported to that world without an echo.
    package func instances(foreignTo origin: Origin) -> [Instance] {
        let own = records.filter { $0.origin == origin }
        guard !own.isEmpty else { return instances }
        return instances.filter { instance in
            instance.origin != origin
                && !own.contains { $0.address == instance.address && $0.answers(at: instance.port) }
        }
    }

    /// Brings the records of different origins for one address and port together.
    ///
    /// A pod that also registers itself is one instance. The words of its own registration are kept (they are richer);
    /// healthy and enabled is only what every origin holds for so.
    private static func merged(_ records: [Instance]) -> [Instance] {
        var result: [Instance] = []
        result.reserveCapacity(records.count)
        for record in records where record.origin != .kubernetes {
            var instance = record
            for other in records where other.origin == .kubernetes && other.address == record.address {
                guard other.answers(at: record.port) else { continue }
                instance.isHealthy = instance.isHealthy && other.isHealthy
                instance.isEnabled = instance.isEnabled && other.isEnabled
            }
            result.append(instance)
        }
        let declared = result
        for record in records where record.origin == .kubernetes {
            let isKnown = declared.contains { $0.address == record.address && record.answers(at: $0.port) }
            if !isKnown { result.append(record) }
        }
        return result
    }
}

extension Instance {
    func answers(at port: Int) -> Bool { self.port == port || ports.values.contains(port) }
}
