// Gives Services their cluster addresses and node ports (upstream: pkg/registry/core/service/storage/alloc.go).

import Formats
import Logging
import Objects
import Storage
import Synchronization

enum ServiceAllocation {
    /// What a Service holds of the shared ranges.
    struct Holding: Sendable, Hashable {
        var address: String?
        var ports: Set<Int> = []
    }

    /// What a write took and, once it is stored, gives back.
    struct Claim: Sendable {
        var taken = Holding()
        var given = Holding()
    }

    static func holding(of service: Object) -> Holding {
        let address = service["spec", "clusterIP"]?.string ?? ""
        let ports = (service["spec", "ports"]?.array ?? []).compactMap { $0["nodePort"]?.integer }.filter { $0 > 0 }
        return Holding(address: address.isEmpty || address == "None" ? nil : address, ports: Set(ports))
    }

    /// The addresses and ports of all stored Services; one that two claim is logged and stays with both.
    static func takenAddresses(in records: ObjectRecords, logger: Logger) throws(Problem) -> ServiceAddressMachine {
        var machine = ServiceAddressMachine()
        let page = try records.store.page(prefix: ObjectRecords.prefix(.services, namespace: nil))
        for record in page.records {
            guard let service = try? ObjectRecords.object(of: record) else { continue }
            let holding = holding(of: service)
            do throws(ServiceAddressMachine.Refusal) {
                if let address = holding.address { try machine.take(address: address) }
                for port in holding.ports { try machine.take(port: port) }
            } catch {
                logger.warning(
                    "service address claimed twice", metadata: ["service": "\(service.key)", "why": "\(error)"])
            }
        }
        return machine
    }
}

extension KubernetesAPI {
    /// Takes what a Service needs and does not have; does nothing for other kinds.
    ///
    /// The caller gives back `taken` when the write fails, and `given` when it is stored.
    func allocateAddresses(
        for object: inout Object, replacing old: Object?, _ resource: Resource
    ) throws(Problem) -> ServiceAllocation.Claim {
        var claim = ServiceAllocation.Claim()
        guard resource.plural == Resource.services.plural, resource.group.isEmpty else { return claim }
        let held = old.map(ServiceAllocation.holding(of:)) ?? .init()
        do throws(Problem) {
            try allocateAddress(for: &object, held, &claim)
            try allocatePorts(for: &object, held, &claim)
        } catch {
            release(claim.taken)
            throw error
        }
        let wanted = ServiceAllocation.holding(of: object)
        if let address = held.address, address != wanted.address { claim.given.address = address }
        claim.given.ports = held.ports.subtracting(wanted.ports)
        return claim
    }

    private func allocateAddress(
        for service: inout Object, _ held: ServiceAllocation.Holding, _ claim: inout ServiceAllocation.Claim
    ) throws(Problem) {
        if service["spec", "type"] == "ExternalName" { return }
        let asked = service["spec", "clusterIP"]?.string ?? service["spec", "clusterIPs"]?.array?.first?.string ?? ""
        if asked == "None" {
            service["spec", "clusterIP"] = "None"
            service["spec", "clusterIPs"] = ["None"]
            return
        }
        if asked.isEmpty || asked != held.address {
            do throws(ServiceAddressMachine.Refusal) {
                let random = UInt32(truncatingIfNeeded: environment.random())
                claim.taken.address = try serviceAddresses.withLock { machine throws(ServiceAddressMachine.Refusal) in
                    if asked.isEmpty { return try machine.takeAddress(random: random) }
                    try machine.take(address: asked)
                    return asked
                }
            } catch {
                throw refusal(of: service, "spec.clusterIPs", "[\"\(asked)\"]", addressRefusal(error, asked))
            }
        }
        let address = claim.taken.address ?? asked
        service["spec", "clusterIP"] = .string(address)
        service["spec", "clusterIPs"] = [.string(address)]
    }

    private func addressRefusal(_ refusal: ServiceAddressMachine.Refusal, _ address: String) -> String {
        switch refusal {
        case .taken: "failed to allocate IP \(address): provided IP is already allocated"
        case .outOfRange:
            "failed to allocate IP \(address): the provided IP (\(address)) is not in the valid range. "
                + "The range of valid IPs is 10.96.0.0/12"
        case .exhausted: "failed to allocate a serviceIP: range is full"
        }
    }

    private func allocatePorts(
        for service: inout Object, _ held: ServiceAllocation.Holding, _ claim: inout ServiceAllocation.Claim
    ) throws(Problem) {
        guard ServiceStrategy.hasNodePorts(service.spec), var ports = service["spec", "ports"]?.array else { return }
        if service["spec", "type"] == "LoadBalancer", service["spec", "allocateLoadBalancerNodePorts"] == false {
            return
        }
        for position in ports.indices {
            let asked = ports[position]["nodePort"]?.integer ?? 0
            if asked > 0, held.ports.contains(asked) || claim.taken.ports.contains(asked) { continue }
            do throws(ServiceAddressMachine.Refusal) {
                let random = UInt32(truncatingIfNeeded: environment.random())
                let port = try serviceAddresses.withLock { machine throws(ServiceAddressMachine.Refusal) in
                    if asked == 0 { return try machine.takePort(random: random) }
                    try machine.take(port: asked)
                    return asked
                }
                claim.taken.ports.insert(port)
                ports[position]["nodePort"] = JSON(port)
            } catch {
                let why =
                    switch error {
                    case .taken: "provided port is already allocated"
                    case .outOfRange: "provided port is not in the valid range. The range of valid ports is 30000-32767"
                    case .exhausted: "failed to allocate a nodePort: range is full"
                    }
                throw refusal(of: service, "spec.ports[\(position)].nodePort", String(asked), why)
            }
        }
        service["spec", "ports"] = .array(ports)
    }

    private func refusal(of service: Object, _ path: String, _ value: String, _ why: String) -> Problem {
        let fault = FieldFault(kind: .invalid, path: path, message: "Invalid value: \(value): \(why)")
        return .invalid(.services, service.name, [fault])
    }

    func release(_ holding: ServiceAllocation.Holding) {
        guard holding.address != nil || !holding.ports.isEmpty else { return }
        serviceAddresses.withLock { machine in
            if let address = holding.address { machine.release(address: address) }
            for port in holding.ports { machine.release(port: port) }
        }
    }

    /// Gives back what a removed object held.
    func releaseAddresses(of object: Object, _ resource: Resource) {
        guard resource.plural == Resource.services.plural, resource.group.isEmpty else { return }
        release(ServiceAllocation.holding(of: object))
    }
}
