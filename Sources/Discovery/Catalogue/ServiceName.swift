// The names of the catalogue: services, the worlds that instances come from, and those who look on.

/// A service in the catalogue's own words; `NacosServer` and the others translate theirs into it.
///
/// The namespace is a Kubernetes one (`default`, which Nacos calls `public`); the group is `defaultGroup` unless the
/// writer said otherwise; the name is raw, so it may be one that DNS cannot carry.
package struct ServiceName: Hashable, Sendable, CustomStringConvertible {
    package static let defaultNamespace = "default"
    package static let defaultGroup = "DEFAULT_GROUP"

    package var namespace: String
    package var group: String
    package var name: String

    package init(
        namespace: String = ServiceName.defaultNamespace, group: String = ServiceName.defaultGroup, name: String
    ) {
        self.namespace = namespace
        self.group = group
        self.name = name
    }

    /// `namespace/group@@name`.
    package var description: String { "\(namespace)/\(group)@@\(name)" }
}

extension ServiceName: Comparable {
    package static func < (left: ServiceName, right: ServiceName) -> Bool {
        (left.namespace, left.group, left.name) < (right.namespace, right.group, right.name)
    }
}

/// The world a record was written in. Nothing is exported back to its origin.
package enum Origin: String, Hashable, Sendable, CaseIterable {
    case kubernetes
    case nacos
    case eureka
    case zookeeper
}

/// Somebody who looks at services and can say that a change has arrived.
package struct SubscriberID: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    /// The text is unique among all interfaces: `nacos/1717000000000_10.0.0.7_51234`.
    package init(_ text: String) { self.text = text }

    package var description: String { text }
}
