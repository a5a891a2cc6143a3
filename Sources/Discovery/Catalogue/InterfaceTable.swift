// Dubbo's tables: which applications have an interface, and what an application has in each revision.

import Frameworks

/// One row of Dubbo's `mapping`: the applications that have an interface, as their providers wrote it.
package struct InterfaceMapping: Hashable, Sendable {
    package let interface: String
    /// `app-a,app-b`, raw: ZooKeeper's node data and the content of Nacos' configuration.
    package let text: String
    /// Changes since the row was made, ZooKeeper's data version.
    package let version: Int32

    package init(interface: String, text: String, version: Int32) {
        self.interface = interface
        self.text = text
        self.version = version
    }

    package var applications: [String] {
        text.split(separator: ",").map { String($0.drop(while: \.isWhitespace).prefix { !$0.isWhitespace }) }
            .filter { !$0.isEmpty }
    }
}

/// What has to be so for a row to be written.
package enum MappingCondition: Hashable, Sendable {
    case always
    case absent
    case version(Int32)
}

extension ServiceName {
    /// Where Nacos keeps the table, and the name by which a row appears in a feed of changes.
    package static let mappingGroup = DubboApplication.mapping

    package static func mapping(of interface: String, in namespace: String = defaultNamespace) -> ServiceName {
        ServiceName(namespace: namespace, group: mappingGroup, name: interface)
    }

    /// The interface whose row of the table changed, when a feed hands this name out.
    package var mappedInterface: String? { group == Self.mappingGroup ? name : nil }
}

struct InterfaceTable: Sendable {
    private struct Application: Hashable {
        var namespace: String
        var name: String
    }

    private(set) var mappings: [ServiceName: InterfaceMapping] = [:]
    private var interfaces: [Application: Set<String>] = [:]
    private var revisions: [Application: [String: DubboRevision]] = [:]
    private(set) var revisionCount = 0

    /// The interfaces that an application has by the table.
    func interfaces(of application: String, in namespace: String) -> Set<String> {
        interfaces[Application(namespace: namespace, name: application)] ?? []
    }

    func revision(_ revision: String, of application: String, in namespace: String) -> DubboRevision? {
        revisions[Application(namespace: namespace, name: application)]?[revision]
    }

    /// Writes a row, or with nil removes it. Returns the applications whose interfaces are others now.
    mutating func set(_ mapping: InterfaceMapping?, for key: ServiceName) -> Set<String> {
        let before = Set(mappings[key]?.applications ?? [])
        let after = Set(mapping?.applications ?? [])
        mappings[key] = mapping
        for name in before.subtracting(after) {
            let application = Application(namespace: key.namespace, name: name)
            interfaces[application]?.remove(key.name)
            if interfaces[application]?.isEmpty == true { interfaces[application] = nil }
        }
        for name in after.subtracting(before) {
            interfaces[Application(namespace: key.namespace, name: name), default: []].insert(key.name)
        }
        return before.symmetricDifference(after)
    }

    mutating func set(_ revision: DubboRevision, in namespace: String) {
        let application = Application(namespace: namespace, name: revision.application)
        let old = revisions[application, default: [:]].updateValue(revision, forKey: revision.revision)
        if old == nil { revisionCount += 1 }
    }

    mutating func removeRevision(_ revision: String, of application: String, in namespace: String) {
        let key = Application(namespace: namespace, name: application)
        if revisions[key]?.removeValue(forKey: revision) != nil { revisionCount -= 1 }
        if revisions[key]?.isEmpty == true { revisions[key] = nil }
    }
}
