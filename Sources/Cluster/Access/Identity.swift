// Who makes a request.

/// A user as the API server knows it: a name and groups, as in `authentication.k8s.io` UserInfo.
package struct Identity: Sendable, Hashable {
    package static let mastersGroup = "system:masters"
    package static let authenticatedGroup = "system:authenticated"
    package static let unauthenticatedGroup = "system:unauthenticated"

    package let name: String
    package let groups: [String]
    /// Empty when nobody gave one; certificates and the admin token carry none.
    package let uid: String

    package init(name: String, groups: [String], uid: String = "") {
        self.name = name
        self.groups = groups
        self.uid = uid
    }

    /// Whoever shows neither certificate nor token.
    package static let anonymous = Identity(name: "system:anonymous", groups: [unauthenticatedGroup])

    /// A part of this program that calls the server without a socket: `system:mangrove:scheduler`.
    package static func component(_ name: String) -> Identity {
        Identity(name: "system:mangrove:\(name)", groups: [mastersGroup, authenticatedGroup])
    }

    package var isMaster: Bool { groups.contains(Self.mastersGroup) }
}
