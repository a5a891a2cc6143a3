// Who may do what: users with their passwords, the roles they have, and what each role may do in which namespace.

import Formats

/// What a request wants to do.
enum AccessAction: Hashable, Sendable {
    case read
    case write
}

/// What a request wants to do it to.
enum AccessScope: Hashable, Sendable {
    /// Services and configuration of a namespace, in the catalogue's spelling.
    case namespace(String)
    /// What every user may see.
    case anyUser
    /// What only administrators may see and do.
    case administration
}

/// A permission of a role.
struct Permission: Hashable, Sendable {
    var role: String
    /// `shop:*:*`; the namespace alone decides.
    var resource: String
    /// `r`, `w` or `rw`.
    var action: String

    /// In the catalogue's spelling; nil for all namespaces.
    var namespace: String?

    /// Nacos writes `namespace:group:name`; only whole namespaces are told apart here.
    init(role: String, resource: String, action: String) throws(NacosProblem) {
        let parts = resource.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 3, parts.dropFirst().allSatisfy({ $0 == "*" }), let first = parts.first else {
            throw .invalid("Param 'resource' is illegal, it should be namespace:*:* (whole namespaces only).")
        }
        guard ["r", "w", "rw"].contains(action) else {
            throw .invalid("Param 'action' is illegal, it should be r, w or rw.")
        }
        self.role = role
        self.resource = resource
        self.action = action
        namespace = first == "*" ? nil : NacosNames.catalogueNamespace(String(first))
    }

    func allows(_ wanted: AccessAction) -> Bool { action.contains(wanted == .read ? "r" : "w") }
}

struct AccountBook: Hashable, Sendable {
    /// The role that may do everything (`AuthConstants.GLOBAL_ADMIN_ROLE`).
    static let administrator = "ROLE_ADMIN"
    static let firstUser = "nacos"
    /// Users, roles of all users, and permissions.
    static let limit = 1_000

    /// Password hashes by user.
    var users: [String: String] = [:]
    /// Roles by user.
    var roles: [String: Set<String>] = [:]
    var permissions: Set<Permission> = []

    init() {}

    func isAdministrator(_ user: String) -> Bool { roles[user]?.contains(Self.administrator) ?? false }

    var hasAdministrator: Bool { roles.values.contains { $0.contains(Self.administrator) } }

    func allows(_ user: String, _ action: AccessAction, _ scope: AccessScope) -> Bool {
        guard users[user] != nil else { return false }
        if isAdministrator(user) { return true }
        switch scope {
        case .anyUser: return true
        case .administration: return false
        case .namespace(let namespace):
            let own = roles[user] ?? []
            return permissions.contains { permission in
                own.contains(permission.role) && permission.allows(action)
                    && (permission.namespace == nil || permission.namespace == namespace)
            }
        }
    }

    // MARK: JSON

    init(_ tree: JSON) {
        users = tree["users"]?.stringMap ?? [:]
        for member in tree["roles"]?.object ?? JSONObject() { roles[member.key] = Set(member.value.strings ?? []) }
        for entry in tree["permissions"]?.array ?? [] {
            guard let role = entry["role"]?.string, let resource = entry["resource"]?.string,
                let action = entry["action"]?.string,
                let permission = try? Permission(role: role, resource: resource, action: action)
            else { continue }
            permissions.insert(permission)
        }
    }

    var tree: JSON {
        [
            "users": JSON(stringMap: users),
            "roles": .object(
                JSONObject(
                    roles.keys.sorted().map { user in
                        (user, JSON.array((roles[user] ?? []).sorted().map { .string($0) }))
                    })),
            "permissions": .array(
                sortedPermissions.map { permission in
                    [
                        "role": .string(permission.role), "resource": .string(permission.resource),
                        "action": .string(permission.action),
                    ]
                }),
        ]
    }

    var sortedPermissions: [Permission] {
        permissions.sorted { ($0.role, $0.resource, $0.action) < ($1.role, $1.resource, $1.action) }
    }
}
