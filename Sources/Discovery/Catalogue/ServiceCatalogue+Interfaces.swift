// Dubbo's table of interfaces, of which ZooKeeper's `/dubbo/mapping` and Nacos' group `mapping` are views.

import Frameworks

extension ServiceCatalogue {
    /// The applications that have an interface, or nil when the table has no such row.
    package func mapping(
        of interface: String, in namespace: String = ServiceName.defaultNamespace
    ) -> InterfaceMapping? {
        state.withLock { $0.machine.mapping(of: interface, in: namespace) }
    }

    /// The table's rows of a namespace, by interface.
    package func mappings(in namespace: String = ServiceName.defaultNamespace) -> [InterfaceMapping] {
        state.withLock { $0.machine.mappings(in: namespace) }
    }

    /// The namespaces that have rows.
    package func mappingNamespaces() -> Set<String> { state.withLock { $0.machine.mappingNamespaces } }

    /// Takes back a row that was kept over a restart. Where its interface has been written again already, both count.
    package func adopt(_ row: InterfaceMapping, in namespace: String) throws(CatalogueProblem) {
        try attempt { machine throws(CatalogueProblem) in try machine.adopted(row, in: namespace) }
    }

    /// Writes a row. A feed tells of it by `ServiceName.mapping(of:in:)`. Throws `mappingMoved` when the row is not as
    /// the condition says; who compares by md5 reads the row, compares, and names its version here.
    @discardableResult
    package func setMapping(
        of interface: String, to text: String, in namespace: String = ServiceName.defaultNamespace,
        when condition: MappingCondition = .always
    ) throws(CatalogueProblem) -> InterfaceMapping {
        try attempt { machine throws(CatalogueProblem) in
            try machine.mapped(interface, to: text, in: namespace, when: condition)
        }
    }

    /// Removes a row. Returns whether there was one.
    @discardableResult
    package func removeMapping(
        of interface: String, in namespace: String = ServiceName.defaultNamespace,
        when condition: MappingCondition = .always
    ) throws(CatalogueProblem) -> Bool {
        try attempt { machine throws(CatalogueProblem) in
            try machine.unmapped(interface, in: namespace, when: condition)
        }
    }

    /// An application published which interfaces one of its revisions has (ZooKeeper's `/dubbo/metadata`, Nacos'
    /// configuration of the application's name): its instances of that revision imply records of those interfaces.
    package func publish(
        _ revision: DubboRevision, in namespace: String = ServiceName.defaultNamespace
    ) throws(CatalogueProblem) {
        try attempt { machine throws(CatalogueProblem) in try machine.published(revision, in: namespace) }
    }

    package func unpublish(
        revision: String, of application: String, in namespace: String = ServiceName.defaultNamespace
    ) {
        perform { $0.unpublished(revision, of: application, in: namespace) }
    }
}
