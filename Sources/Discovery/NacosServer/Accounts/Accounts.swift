// Users of the Nacos interface, kept in a Secret of the cluster.

import Client
import Crypto
import Formats
import Logging
import Objects
import Reconciling
import Synchronization

/// Checks tokens and keeps the account book. Needs `run()` to be running.
package final class Accounts: Sendable {
    static let namespace = "mangrove-system"
    static let name = "nacos-accounts"
    static let bookKey = "accounts.json"
    static let tokenKey = "token-key"
    static let attempts = 8
    /// Logins that are checked at once; each costs some milliseconds of one core by intention.
    static let loginLimit = 16

    private struct State {
        var book = AccountBook()
        var tokens: AccessTokens?
        var logins = 0
    }

    private let client: KubernetesClient
    private let clock: WallClock
    private let logger: Logger
    private let informer: Informer
    private let state = Mutex(State())

    package init(client: KubernetesClient, clock: WallClock = .system, logger: Logger) {
        self.client = client
        self.clock = clock
        self.logger = logger
        informer = Informer(
            client: client, resource: .secrets,
            selection: Selection(namespace: Self.namespace, fields: "metadata.name=\(Self.name)"), logger: logger)
    }

    package func run() async {
        informer.onChange { [self] change in take(change.new) }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.informer.run() }
            group.addTask { await self.ensureKey() }
            await group.waitForAll()
        }
    }

    private func take(_ object: Object?) {
        let (book, tokens) = Self.read(object)
        state.withLock { state in
            state.book = book
            state.tokens = tokens
        }
    }

    private static func read(_ object: Object?) -> (AccountBook, AccessTokens?) {
        let data = object?["data"]?.stringMap ?? [:]
        let book = data[bookKey].flatMap { Base64.decode($0) }.flatMap { try? JSON(parsing: $0) }.map(AccountBook.init)
        let tokens = data[tokenKey].flatMap { Base64.decode($0) }.flatMap { $0.isEmpty ? nil : AccessTokens(key: $0) }
        return (book ?? AccountBook(), tokens)
    }

    /// Makes the key that tokens are signed with, once for the cluster.
    private func ensureKey() async {
        try? await informer.waitUntilSynced()
        while !Task.isCancelled, state.withLock({ $0.tokens == nil }) {
            do throws(NacosProblem) {
                try await change { _ in }
            } catch {
                logger.warning("the key of Nacos' tokens could not be made", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private var nowSeconds: Int64 { clock.now().secondsSinceEpoch }
    var book: AccountBook { state.withLock { $0.book } }

    // MARK: Checking

    /// The token and whose it is; refuses one that is not good.
    func login(_ user: String, _ password: String) throws(NacosProblem) -> (token: String, isAdministrator: Bool) {
        let (book, tokens) = try state.withLock { state throws(NacosProblem) in
            guard state.logins < Self.loginLimit else { throw .full("too many logins at once") }
            state.logins += 1
            return (state.book, state.tokens)
        }
        defer { state.withLock { $0.logins -= 1 } }
        guard let tokens else { throw .starting }
        guard let hash = book.users[user], Passwords.matches(password, hash) else {
            throw .unknownUser("unknown user!")
        }
        return (tokens.make(for: user, nowSeconds: nowSeconds), book.isAdministrator(user))
    }

    /// Refuses what the token's user may not do; returns the user.
    @discardableResult
    func check(_ token: String?, _ action: AccessAction, _ scope: AccessScope) throws(NacosProblem) -> String {
        let (book, tokens) = state.withLock { ($0.book, $0.tokens) }
        guard let token, !token.isEmpty else { throw .unknownUser("user not found!") }
        guard let tokens else { throw .starting }
        let user = try tokens.user(of: token, nowSeconds: nowSeconds)
        guard book.allows(user, action, scope) else { throw .forbidden("authorization failed!") }
        return user
    }

    // MARK: Writing

    /// Changes the book in the cluster; returns when it is stored and read again.
    func change(
        _ edit: @Sendable (inout AccountBook) throws(NacosProblem) -> Void
    ) async throws(NacosProblem) {
        for _ in 0..<Self.attempts {
            let current = try await stored()
            var (book, tokens) = Self.read(current)
            try edit(&book)
            guard book.users.count + book.roles.count + book.permissions.count <= AccountBook.limit else {
                throw .full("there are \(AccountBook.limit) users, roles and permissions, the limit")
            }
            var object = current ?? Object(.secrets, namespace: Self.namespace, name: Self.name)
            object["type"] = object["type"] ?? "Opaque"
            var data = object["data"] ?? [:]
            data[Self.bookKey] = .string(Base64.encode(book.tree.bytes))
            if tokens == nil {
                let key = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
                data[Self.tokenKey] = .string(Base64.encode(key))
                tokens = AccessTokens(key: key)
            }
            object["data"] = data
            if let stored = try await write(object, isNew: current == nil) { return take(stored) }
        }
        throw .notStored("\(Self.attempts) times another writer was faster")
    }

    /// Nil when another writer was faster.
    private func write(_ object: Object, isNew: Bool) async throws(NacosProblem) -> Object? {
        do {
            if isNew { try await ensureNamespace() }
            return isNew ? try await client.create(.secrets, object) : try await client.update(.secrets, object)
        } catch let problem as Problem where problem.code == 409 || problem.code == 404 {
            return nil
        } catch {
            throw .notStored("the accounts were not stored: \(error)")
        }
    }

    private func ensureNamespace() async throws {
        do {
            try await client.create(.namespaces, Object(.namespaces, name: Self.namespace))
        } catch let problem as Problem where problem.code == 409 {
            // It is there.
        }
    }

    private func stored() async throws(NacosProblem) -> Object? {
        do {
            return try await client.find(.secrets, ObjectKey(namespace: Self.namespace, name: Self.name))
        } catch {
            throw .notStored("the accounts could not be read: \(error)")
        }
    }
}
