// Login, users, roles and permissions over the HTTP open API, versions 1 and 3.

import Formats

struct AccountCalls: Sendable {
    /// Nil while nobody is checked: then login answers everybody.
    let accounts: Accounts?

    /// Nil for a path that is none of these.
    func answer(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse? {
        guard let (subject, isV3) = Self.subject(of: request.path) else { return nil }
        if subject == "login" {
            guard request.method == "POST" || request.method == "GET" else { return nil }
            return try login(request)
        }
        guard let accounts else {
            throw .notServed("\(request.path), because nobody's rights are checked (--nacos-auth)")
        }
        let form: @Sendable (JSON, String) -> OpenAPIResponse = { data, message in
            isV3 ? .result(data) : .restResult(data, message: message)
        }
        switch subject {
        case "admin" where request.method == "POST": return form(try await makeAdministrator(request, accounts), "ok")
        case "user": return try await user(request, accounts, form)
        case "role": return try await role(request, accounts, form)
        case "permission": return try await permission(request, accounts, form)
        default: return nil
        }
    }

    /// What a path is about: `user`, `role`, `permission`, `login` or `admin`.
    private static func subject(of path: String) -> (String, isV3: Bool)? {
        switch path {
        case "/nacos/v1/auth/login", "/nacos/v1/auth/users/login": ("login", false)
        case "/nacos/v3/auth/user/login": ("login", true)
        case "/nacos/v1/auth/users/admin": ("admin", false)
        case "/nacos/v3/auth/user/admin": ("admin", true)
        case "/nacos/v1/auth/users": ("user", false)
        case "/nacos/v3/auth/user", "/nacos/v3/auth/user/list": ("user", true)
        case "/nacos/v1/auth/roles": ("role", false)
        case "/nacos/v3/auth/role", "/nacos/v3/auth/role/list": ("role", true)
        case "/nacos/v1/auth/permissions": ("permission", false)
        case "/nacos/v3/auth/permission", "/nacos/v3/auth/permission/list": ("permission", true)
        default: nil
        }
    }

    private func login(_ request: OpenAPIRequest) throws(NacosProblem) -> OpenAPIResponse {
        guard let accounts else {
            return .json([
                "accessToken": "mangrove", "tokenTtl": JSON(AccessTokens.lifetimeSeconds), "globalAdmin": true,
                "username": .string(request.parameter("username") ?? AccountBook.firstUser),
            ])
        }
        let user = try request.required("username")
        let (token, isAdministrator) = try accounts.login(user, try request.required("password"))
        return .json([
            "accessToken": .string(token), "tokenTtl": JSON(AccessTokens.lifetimeSeconds),
            "globalAdmin": .bool(isAdministrator), "username": .string(user),
        ])
    }

    /// The first administrator needs no token; when there is one, nobody gets in this way.
    private func makeAdministrator(_ request: OpenAPIRequest, _ accounts: Accounts) async throws(NacosProblem) -> JSON {
        let password = try Self.password(try request.required("password"))
        let hash = Passwords.hash(password, salt: Passwords.salt())
        try await accounts.change { book throws(NacosProblem) in
            guard !book.hasAdministrator else { throw .changed("have admin user cannot use it") }
            book.users[AccountBook.firstUser] = hash
            book.roles[AccountBook.firstUser, default: []].insert(AccountBook.administrator)
        }
        return ["username": .string(AccountBook.firstUser)]
    }

    private static func password(_ text: String) throws(NacosProblem) -> String {
        guard text.utf8.count <= Passwords.longestBytes else {
            throw .invalid("Param 'password' is illegal, the param length should not exceed \(Passwords.longestBytes).")
        }
        return text
    }

    private func user(
        _ request: OpenAPIRequest, _ accounts: Accounts, _ form: (JSON, String) -> OpenAPIResponse
    ) async throws(NacosProblem) -> OpenAPIResponse? {
        switch request.method {
        case "GET":
            let names = accounts.book.users.keys.sorted().map { JSON(dictionaryLiteral: ("username", .string($0))) }
            return Self.page(names, request)
        case "POST":
            let name = try request.required("username")
            let hash = Passwords.hash(try Self.password(try request.required("password")), salt: Passwords.salt())
            try await accounts.change { book throws(NacosProblem) in
                guard book.users[name] == nil else { throw .invalid("user '\(name)' already exist!") }
                book.users[name] = hash
            }
            return form("create user ok!", "create user ok!")
        case "PUT":
            let name = try request.required("username")
            let hash = Passwords.hash(try Self.password(try request.required("newPassword")), salt: Passwords.salt())
            try await accounts.change { book throws(NacosProblem) in
                guard book.users[name] != nil else { throw .invalid("user \(name) not exist!") }
                book.users[name] = hash
            }
            return form("update user ok!", "update user ok!")
        case "DELETE":
            let name = try request.required("username")
            try await accounts.change { book throws(NacosProblem) in
                guard !book.isAdministrator(name) else { throw .invalid("cannot delete admin: \(name)") }
                book.users[name] = nil
                book.roles[name] = nil
            }
            return form("delete user ok!", "delete user ok!")
        default: return nil
        }
    }

    private func role(
        _ request: OpenAPIRequest, _ accounts: Accounts, _ form: (JSON, String) -> OpenAPIResponse
    ) async throws(NacosProblem) -> OpenAPIResponse? {
        switch request.method {
        case "GET":
            let roles = accounts.book.roles
            let all = roles.keys.sorted().flatMap { user in
                (roles[user] ?? []).sorted().map { role -> JSON in
                    ["username": .string(user), "role": .string(role)]
                }
            }
            return Self.page(all, request)
        case "POST":
            let (user, role) = (try request.required("username"), try request.required("role"))
            try await accounts.change { book throws(NacosProblem) in
                guard book.users[user] != nil else { throw .invalid("user '\(user)' not found!") }
                guard role != AccountBook.administrator else {
                    throw .invalid("role '\(role)' is not permitted to create!")
                }
                book.roles[user, default: []].insert(role)
            }
            return form("add role ok!", "add role ok!")
        case "DELETE":
            let role = try request.required("role")
            let user = request.parameter("username")
            try await accounts.change { book throws(NacosProblem) in
                guard role != AccountBook.administrator else { throw .invalid("role '\(role)' cannot be deleted!") }
                for name in book.roles.keys where user == nil || user == name { book.roles[name]?.remove(role) }
                book.roles = book.roles.filter { !$0.value.isEmpty }
            }
            return form("delete role ok!", "delete role ok!")
        default: return nil
        }
    }

    private func permission(
        _ request: OpenAPIRequest, _ accounts: Accounts, _ form: (JSON, String) -> OpenAPIResponse
    ) async throws(NacosProblem) -> OpenAPIResponse? {
        if request.method == "GET" {
            let role = request.parameter("role")
            let all = accounts.book.sortedPermissions.filter { role == nil || $0.role == role }.map {
                permission -> JSON in
                [
                    "role": .string(permission.role), "resource": .string(permission.resource),
                    "action": .string(permission.action),
                ]
            }
            return Self.page(all, request)
        }
        guard request.method == "POST" || request.method == "DELETE" else { return nil }
        let permission = try Permission(
            role: try request.required("role"), resource: request.parameters["resource"] ?? "",
            action: try request.required("action"))
        let isNew = request.method == "POST"
        try await accounts.change { book throws(NacosProblem) in
            if isNew { book.permissions.insert(permission) } else { book.permissions.remove(permission) }
        }
        let said = isNew ? "add permission ok!" : "delete permission ok!"
        return form(.string(said), said)
    }

    private static func page(_ all: [JSON], _ request: OpenAPIRequest) -> OpenAPIResponse {
        let shown = Page.of(all, number: request.pageNumber, size: request.pageSize)
        let page = JSON.page(shown, total: all.count, request)
        return request.path.hasPrefix("/nacos/v3/") ? .result(page) : .json(page)
    }
}
