// Dubbo's tables, and what follows from them.

import Frameworks

extension CatalogueMachine {
    package func mapping(of interface: String, in namespace: String) -> InterfaceMapping? {
        interfaces.mappings[.mapping(of: interface, in: namespace)]
    }

    /// The table's rows of a namespace, by interface.
    package func mappings(in namespace: String) -> [InterfaceMapping] {
        interfaces.mappings.filter { $0.key.namespace == namespace }.map(\.value).sorted { $0.interface < $1.interface }
    }

    /// The namespaces that have rows.
    package var mappingNamespaces: Set<String> { Set(interfaces.mappings.keys.map(\.namespace)) }

    /// A row was written. Throws `mappingMoved` when the row is not as the writer took it to be.
    package mutating func mapped(
        _ interface: String, to text: String, in namespace: String, when condition: MappingCondition
    ) throws(CatalogueProblem) -> InterfaceMapping {
        let key = ServiceName.mapping(of: interface, in: namespace)
        let current = interfaces.mappings[key]
        try check(current, condition)
        if current == nil, interfaces.mappings.count >= limits.mappings {
            throw .tooManyMappings(limit: limits.mappings)
        }
        guard text.utf8.count <= CatalogueLimits.mappingBytes else {
            throw .mappingTooLong(CatalogueLimits.mappingBytes)
        }
        let mapping = InterfaceMapping(
            interface: interface, text: text, version: current.map { $0.version &+ 1 } ?? 0)
        tableChanged(interfaces.set(mapping, for: key), in: namespace)
        changed.insert(key)
        return mapping
    }

    /// A row was removed. Returns whether there was one.
    @discardableResult
    package mutating func unmapped(
        _ interface: String, in namespace: String, when condition: MappingCondition
    ) throws(CatalogueProblem) -> Bool {
        let key = ServiceName.mapping(of: interface, in: namespace)
        let current = interfaces.mappings[key]
        try check(current, condition)
        guard current != nil else { return false }
        tableChanged(interfaces.set(nil, for: key), in: namespace)
        changed.insert(key)
        return true
    }

    /// A row kept over a restart was read back. Where its interface has been written again already, both count.
    package mutating func adopted(_ row: InterfaceMapping, in namespace: String) throws(CatalogueProblem) {
        let key = ServiceName.mapping(of: row.interface, in: namespace)
        let current = interfaces.mappings[key]
        if current == nil, interfaces.mappings.count >= limits.mappings {
            throw .tooManyMappings(limit: limits.mappings)
        }
        let missing = current.map { Set(row.applications).subtracting($0.applications).sorted() } ?? []
        guard current == nil || !missing.isEmpty else { return }
        let text = current.map { ([$0.text] + missing).joined(separator: ",") } ?? row.text
        let version = current.map { max($0.version, row.version) &+ 1 } ?? row.version
        let mapping = InterfaceMapping(interface: row.interface, text: text, version: version)
        tableChanged(interfaces.set(mapping, for: key), in: namespace)
        changed.insert(key)
    }

    /// An application published the document of one of its revisions.
    package mutating func published(_ revision: DubboRevision, in namespace: String) throws(CatalogueProblem) {
        guard interfaces.revisionCount < limits.revisions else { throw .tooManyRevisions(limit: limits.revisions) }
        interfaces.set(revision, in: namespace)
        tableChanged([revision.application], in: namespace)
    }

    package mutating func unpublished(_ revision: String, of application: String, in namespace: String) {
        interfaces.removeRevision(revision, of: application, in: namespace)
        tableChanged([application], in: namespace)
    }

    private mutating func tableChanged(_ applications: Set<String>, in namespace: String) {
        for application in applications {
            for number in table.numbers(of: ServiceName(namespace: namespace, name: application)) { derive(number) }
        }
    }

    private func check(_ current: InterfaceMapping?, _ condition: MappingCondition) throws(CatalogueProblem) {
        switch condition {
        case .always: return
        case .absent: if let current { throw .mappingMoved(current: current.version) }
        case .version(let version):
            guard current?.version == version else { throw .mappingMoved(current: current?.version) }
        }
    }
}
