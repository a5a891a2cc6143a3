// What clients have registered by writing znodes: which instance each stands for, and when an instance is gone.

import Catalogue

/// What follows for the catalogue.
enum RegistrationAction: Hashable, Sendable {
    case register(Instance, ServiceName)
    case deregister(Instance, ServiceName)
}

/// Several znodes may stand for one instance (a provider that registers again with other parameters before its old
/// znode is gone): it is what the latest says, and goes with the last.
struct RegistrationMachine: Sendable {
    struct Registration: Hashable, Sendable {
        var service: ServiceName
        var instance: Instance
    }

    /// What the catalogue takes for one instance.
    private struct Place: Hashable, Sendable {
        var service: ServiceName
        var address: String
        var port: Int
        var cluster: String
        var lifetime: Lifetime

        init(_ registration: Registration) {
            service = registration.service
            address = registration.instance.address
            port = registration.instance.port
            cluster = registration.instance.cluster
            lifetime = registration.instance.lifetime
        }
    }

    private(set) var registrations: [String: Registration] = [:]
    private var paths: [Place: [String]] = [:]
    private var pathsByService: [ServiceName: Set<String>] = [:]

    func paths(of service: ServiceName) -> Set<String> { pathsByService[service] ?? [] }

    /// A znode says this now, or nothing.
    mutating func said(_ registration: Registration?, at path: String) -> [RegistrationAction] {
        var actions: [RegistrationAction] = []
        if let old = registrations[path], old != registration {
            if registration.map(Place.init) != Place(old) { actions += forget(path, old) }
        }
        guard let registration else { return actions }
        let isNew = registrations.updateValue(registration, forKey: path) != registration
        let place = Place(registration)
        paths[place, default: []].removeAll { $0 == path }
        paths[place, default: []].append(path)
        pathsByService[registration.service, default: []].insert(path)
        if isNew { actions.append(.register(registration.instance, registration.service)) }
        return actions
    }

    private mutating func forget(_ path: String, _ old: Registration) -> [RegistrationAction] {
        registrations[path] = nil
        pathsByService[old.service]?.remove(path)
        if pathsByService[old.service]?.isEmpty == true { pathsByService[old.service] = nil }
        let place = Place(old)
        paths[place]?.removeAll { $0 == path }
        if let other = paths[place]?.last, let registration = registrations[other] {
            return [.register(registration.instance, registration.service)]
        }
        paths[place] = nil
        return [.deregister(old.instance, old.service)]
    }
}
