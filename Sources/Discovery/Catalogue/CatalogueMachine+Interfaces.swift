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

    /// A row was written. Throws `mappingMoved` when the row is not as the writer took it to be.
    package mutating func mapped(
        _ interface: String, to text: String, in namespace: String, when condition: MappingCondition
    ) throws(CatalogueProblem) -> InterfaceMapping {
        let key = ServiceName.mapping(of: interface, in: namespace)
        let current = interfaces.mappings[key]
        try check(current, condition)
        if current == nil, interfaces.mappings.count >= limits.mappings { throw .tooManyMappings(limit: limits.mappings) }
        guard text.utf8.count <= CatalogueLimits.mappingBytes else { throw .mappingTooLong(CatalogueLimits.mappingBytes) }
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
