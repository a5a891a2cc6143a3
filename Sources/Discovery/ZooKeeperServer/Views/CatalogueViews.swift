// The parts of the tree that show the catalogue: what clients write there goes in, what others registered comes out.

import Catalogue
import Frameworks
import Logging
import Timing

/// Keeps the directories of instances and Dubbo's tables in step with the catalogue, both ways. Runs on the keeper's
/// loop.
final class CatalogueViews {
    private let catalogue: ServiceCatalogue
    private let logger: Logger
    private var registrations = RegistrationMachine()
    private var consumers = ConsumerMachine()
    private var rendered: [ServiceName: Set<String>] = [:]
    private var versions: [ServiceName: UInt64] = [:]

    init(catalogue: ServiceCatalogue, logger: Logger) {
        self.catalogue = catalogue
        self.logger = logger
    }

    // MARK: In: what clients write

    /// Everything that was stored is told to the catalogue, before it counts as complete.
    func begin(with tree: TreeMachine) {
        for path in tree.nodes.keys.sorted() where ViewDirectory.mayShow(path) {
            if case .mapping(let interface, let namespace) = TablePath(path: path) {
                adopt(interface, namespace, data: tree.nodes[path]?.data)
            } else {
                look(at: path, in: tree)
            }
        }
    }

    /// A row that was stored here counts beside what has been stored elsewhere.
    private func adopt(_ interface: String, _ namespace: String, data: [UInt8]?) {
        guard let data else { return }
        do throws(CatalogueProblem) {
            let text = String(decoding: data, as: UTF8.self)
            try catalogue.adopt(InterfaceMapping(interface: interface, text: text, version: 0), in: namespace)
        } catch {
            logger.warning("a row of Dubbo's tables is not shown elsewhere: \(error)")
        }
    }

    func changed(_ events: [TreeEvent], in keeper: Keeper) {
        for event in events where ViewDirectory.mayShow(event.path) {
            let parent = Path.parent(event.path)
            if consumers.isWatched(parent) { consumers.told(parent, now: Keeper.now) }
            if event.nodeKind != .rendered { look(at: event.path, in: keeper.tree) }
        }
    }

    private func look(at path: String, in tree: TreeMachine) {
        if let table = TablePath(path: path) { return look(at: table, data: tree.nodes[path]?.data) }
        guard let directory = ViewDirectory(path: Path.parent(path)) else { return }
        let said = tree.nodes[path].flatMap { node -> RegistrationMachine.Registration? in
            let lifetime: Lifetime
            switch node.kind {
            case .ephemeral(let session): lifetime = .connection(Self.holder(session))
            case .persistent, .ttl: lifetime = .persistent
            case .container, .rendered: return nil
            }
            guard node.children.isEmpty else { return nil }
            return directory.instance(name: Path.name(path), data: node.data, lifetime: lifetime)
                .map { .init(service: $0.service, instance: $0.instance) }
        }
        if let said { perform(consumers.shown(said.service, at: directory.path)) }
        for action in registrations.said(said, at: path) { perform(action) }
    }

    private func perform(_ action: RegistrationAction) {
        switch action {
        case .register(let instance, let service):
            do throws(CatalogueProblem) {
                try catalogue.register(instance, as: service)
            } catch {
                logger.warning("a zookeeper registration is not shown elsewhere: \(error)")
            }
        case .deregister(let instance, let service):
            guard case .connection(let holder) = instance.lifetime else {
                catalogue.deregister(
                    address: instance.address, port: instance.port, cluster: instance.cluster, of: .zookeeper,
                    from: service)
                return
            }
            catalogue.deregister(
                address: instance.address, port: instance.port, cluster: instance.cluster, of: .zookeeper,
                heldBy: holder, from: service)
        }
    }

    private func look(at table: TablePath, data: [UInt8]?) {
        do throws(CatalogueProblem) {
            switch table {
            case .mapping(let interface, let namespace):
                let text = data.map { String(decoding: $0, as: UTF8.self) }
                guard text != catalogue.mapping(of: interface, in: namespace)?.text else { return }
                if let text {
                    try catalogue.setMapping(of: interface, to: text, in: namespace)
                } else {
                    try catalogue.removeMapping(of: interface, in: namespace)
                }
            case .revision(let revision, let application, let namespace):
                if let data, let document = DubboRevision(String(decoding: data, as: UTF8.self)) {
                    try catalogue.publish(document, in: namespace)
                } else {
                    catalogue.unpublish(revision: revision, of: application, in: namespace)
                }
            }
        } catch {
            logger.warning("a row of Dubbo's tables is not shown elsewhere: \(error)")
        }
    }

    // MARK: Out: what others registered

    /// Brings the tree in line with what the catalogue says of these services.
    func refresh(_ changes: Changes<ServiceName>, in keeper: Keeper) {
        switch changes {
        case .names(let services):
            for service in services { refresh(service, in: keeper) }
        case .everything:
            let known = Set(catalogue.services()).union(rendered.keys)
            for service in known { refresh(service, in: keeper) }
            for mapping in catalogue.mappings() {
                refreshMapping(mapping.interface, ServiceName.defaultNamespace, keeper)
            }
        }
        keeper.flush()
    }

    private func refresh(_ service: ServiceName, in keeper: Keeper) {
        if let interface = service.mappedInterface { return refreshMapping(interface, service.namespace, keeper) }
        guard let directory = ViewDirectory(of: service) else { return }
        let snapshot = catalogue.snapshot(of: service)
        guard versions[service] != snapshot.version else { return }
        versions[service] = snapshot.isEmpty ? nil : snapshot.version
        var wanted: [String: [UInt8]] = [:]
        let flavour = flavour(of: service, in: keeper.tree)
        for instance in snapshot.instances where instance.takesCalls && isForeign(instance, snapshot) {
            guard let node = directory.node(of: instance, as: service, flavour: flavour) else { continue }
            wanted[node.path] = node.data
        }
        let path = directory.path
        perform(consumers.shown(service, at: path))
        let time = Keeper.time
        for path in rendered[service] ?? [] where wanted[path] == nil && keeper.tree.nodes[path]?.kind == .rendered {
            keeper.tree.hide(path)
        }
        for (path, data) in wanted.sorted(by: { $0.key < $1.key }) { keeper.tree.render(path, data, time: time) }
        rendered[service] = wanted.isEmpty ? nil : Set(wanted.keys)
        hideWithdrawn(service, in: keeper)
        keeper.changed()
        let lookers = consumers.lookers(at: path)
        for session in lookers.all { _ = catalogue.tell(Self.subscriber(session), of: service) }
        // Whoever was told of nothing has nothing to read again.
        perform(lookers.upToDate.map { .acknowledge(session: $0, service) })
    }

    /// No client of ours has declared it here itself: what ZooKeeper's own clients imply is shown, what they wrote is
    /// there.
    private func isForeign(_ instance: Instance, _ snapshot: ServiceSnapshot) -> Bool {
        func isOurs(_ record: Instance) -> Bool {
            record.origin == .zookeeper && !record.isImplied && !record.lifetime.isElsewhere
        }
        return !isOurs(instance)
            && !snapshot.records.contains {
                isOurs($0) && $0.address == instance.address && $0.port == instance.port
            }
    }

    /// Clients' own znodes at an address that is leaving go from the tree, so that no consumer finds it there.
    private func hideWithdrawn(_ service: ServiceName, in keeper: Keeper) {
        let paths = registrations.paths(of: service)
        guard !paths.isEmpty else { return }
        let withdrawn = catalogue.withdrawnAddresses
        guard !withdrawn.isEmpty else { return }
        for path in paths {
            guard let address = registrations.registrations[path]?.instance.address else { continue }
            if withdrawn.contains(address) { keeper.tree.hide(path) }
        }
    }

    /// Readers of an application's directory expect one payload; its own providers' znodes tell which.
    private func flavour(of service: ServiceName, in tree: TreeMachine) -> ServiceInstancePayload.Flavour? {
        for path in registrations.paths(of: service) {
            guard let data = tree.nodes[path]?.data, let payload = ServiceInstancePayload(data) else { continue }
            return payload.flavour
        }
        return nil
    }

    private func refreshMapping(_ interface: String, _ namespace: String, _ keeper: Keeper) {
        let path = TablePath.path(ofMapping: interface, namespace: namespace)
        let text = catalogue.mapping(of: interface, in: namespace)?.text
        keeper.tree.mirror(path, text.map { Array($0.utf8) }, time: Keeper.time)
        keeper.changed()
    }

    /// Before a client reads or writes here: what the catalogue says now is in the tree.
    func beforeAccess(_ path: String, in keeper: Keeper) {
        guard ViewDirectory.mayShow(path) else { return }
        if case .mapping(let interface, let namespace) = TablePath(path: path) {
            refreshMapping(interface, namespace, keeper)
            return
        }
        for service in consumers.services(at: path).sorted()
        where versions[service] != catalogue.snapshot(of: service).version { refresh(service, in: keeper) }
    }

    // MARK: Consumers

    func listed(_ path: String, by session: Int64, keepsWatch: Bool) {
        guard ViewDirectory.mayShow(path), ViewDirectory(path: path) != nil else { return }
        perform(consumers.listed(path, by: session, keepsWatch: keepsWatch))
    }

    func watched(_ path: String, by session: Int64, isLasting: Bool) {
        guard ViewDirectory.mayShow(path), ViewDirectory(path: path) != nil else { return }
        perform(consumers.watched(path, by: session, isLasting: isLasting))
    }

    func unwatched(_ path: String, by session: Int64) { perform(consumers.unwatched(path, by: session)) }

    func disconnected(_ session: Int64) { perform(consumers.disconnected(session)) }

    func timePassed(now: Int64) { perform(consumers.timePassed(now: now)) }

    private func perform(_ actions: [ConsumerAction]) {
        for action in actions {
            switch action {
            case .subscribe(let session, let service):
                // Beyond the limit a consumer is served, and not waited for.
                _ = try? catalogue.subscribe(Self.subscriber(session), to: service)
            case .unsubscribe(let session, let service):
                catalogue.unsubscribe(Self.subscriber(session), from: service)
            case .acknowledge(let session, let service):
                let version = versions[service] ?? catalogue.snapshot(of: service).version
                catalogue.acknowledge(Self.subscriber(session), service, version: version)
            }
        }
    }

    private static func holder(_ session: Int64) -> String { "zookeeper/" + String(session, radix: 16) }
    private static func subscriber(_ session: Int64) -> SubscriberID { SubscriberID(holder(session)) }
}
