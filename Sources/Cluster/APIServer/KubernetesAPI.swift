// The Kubernetes API: takes a request, answers it; the same for sockets and for callers within the program.

import Access
import CustomResources
import Formats
import HTTPTypes
import Logging
import Objects
import Storage
import Synchronization
import Timing
import Watching

/// The API server's core: authenticated requests in, answers out.
///
/// It is the only writer of the store. Everything that fails answers with a `metav1.Status`; nothing is thrown.
package final class KubernetesAPI: Sendable {
    let records: ObjectRecords
    let hub: Hub
    let catalogue: ServedCatalogue
    let access: AccessControl
    let nodeAccess: any NodeAccess
    let usageSource: any UsageSource
    /// What other rooms add to `/metrics`.
    let contributedMetrics: @Sendable (inout MetricsText) -> Void
    let environment: APIEnvironment
    let limits: APILimits
    let serviceAddresses: Mutex<ServiceAddressMachine>
    let logger: Logger
    let traffic = Mutex(TrafficMachine())
    let startTime: Timestamp
    /// Opens when the first objects are there.
    let bootstrapped = Gate()

    /// Reads the stored Services to know which addresses are taken, and the roles. Without an authenticator no tokens
    /// are issued and pods are not given service accounts.
    package init(
        store: Store, hub: Hub, nodeAccess: any NodeAccess, usageSource: any UsageSource = NoUsage(),
        authenticator: Authenticator? = nil,
        contributedMetrics: @escaping @Sendable (inout MetricsText) -> Void = { _ in },
        environment: APIEnvironment = .system, limits: APILimits = .init(),
        logger: Logger
    ) throws(Problem) {
        access = try AccessControl(store: store, authenticator: authenticator, logger: logger)
        records = ObjectRecords(store: store)
        self.hub = hub
        catalogue = ServedCatalogue(ServedResources(ResourceTable.all + UsageAPI.resources))
        self.nodeAccess = nodeAccess
        self.usageSource = usageSource
        self.contributedMetrics = contributedMetrics
        self.environment = environment
        self.limits = limits
        self.logger = logger
        startTime = environment.now()
        serviceAddresses = Mutex(try ServiceAllocation.takenAddresses(in: records, logger: logger))
        do {
            try publishDefinitions()
        } catch {
            throw (error as? Problem) ?? Problem(.internalError, "the stored definitions cannot be read: \(error)")
        }
    }

    /// The answer to a request that `handle` let in.
    func respond(
        to request: HTTPRequest, _ target: RequestTarget, body: [UInt8], identity: Identity
    ) async -> APIAnswer {
        do {
            let caller = try caller(identity, request.headerFields)
            for wish in AccessRequest.all(request, target) {
                try access.authorizer.check(caller, wish)
            }
            if body.count > limits.bodyBytes {
                throw Problem(.requestEntityTooLarge, "Request entity too large: limit is \(limits.bodyBytes)")
            }
            switch target.route {
            case .resource(let path):
                return try await Caller.$current.withValue(caller) {
                    try await answer(request, query: target.query, path: path, body: body)
                }
            case .health: return try await document(target.route, request: request, query: target.query)
            default:
                return try await LoopExecutor.away {
                    try await document(target.route, request: request, query: target.query)
                }
            }
        } catch let problem as Problem {
            return .problem(problem, accept: request.headerFields.text(.accept))
        } catch let expired as ExpiredList {
            return expired.answer
        } catch {
            logger.error("request failed", metadata: ["path": "\(request.path ?? "/")", "error": "\(error)"])
            return .problem(Problem(.internalError, "Internal error occurred: \(error)"))
        }
    }

    private func answer(_ request: HTTPRequest, query: Query, path: ResourcePath, body: [UInt8]) async throws
        -> APIAnswer
    {
        guard let served = served.find(group: path.group, version: path.version, plural: path.plural) else {
            return .text("404 page not found\n", code: 404)
        }
        if let namespace = path.namespace, !served.resource.isNamespaced {
            throw Problem(.notFound, "\(served.resource.qualifiedName) are not in a namespace (\"\(namespace)\")")
        }
        if served.resource.isNamespaced, path.namespace == nil, path.name != nil {
            throw Problem(.notFound, "the server could not find the requested resource")
        }
        var subresource: ServedSubresource?
        if let name = path.subresource {
            subresource = ServedSubresource(rawValue: name)
            guard let subresource, served.subresources.contains(subresource) else {
                throw Problem.unserved(name, of: served.resource)
            }
        }
        let call = APICall(
            request: request, query: query, served: served, namespace: path.namespace ?? "", name: path.name,
            body: body,
            proxyRest: path.proxyRest)
        try checkServing(call)
        return try await conclude(call, try await dispatch(call, subresource))
    }

    private func dispatch(_ call: APICall, _ subresource: ServedSubresource?) async throws -> APIAnswer {
        if call.served.isReview { return try await review(call) }
        if call.resource.group == UsageAPI.group { return try usage(call) }
        switch (subresource, call.name) {
        case (nil, nil): return try await collection(call)
        case (nil, .some): return try await object(call)
        case (.status, _): return try await status(call)
        case (.scale, _): return try await scale(call)
        case (.binding, _): return try await bind(call)
        case (.log, _): return try await LoopExecutor.away { try await log(call) }
        case (.finalize, _): return try await finalize(call)
        case (.exec, _): return try await LoopExecutor.away { try await command(call, attaches: false) }
        case (.attach, _): return try await LoopExecutor.away { try await command(call, attaches: true) }
        case (.portforward, _): return try await LoopExecutor.away { try await portForward(call) }
        case (.token, _): return try await requestToken(call)
        case (.approval, _): return try await approve(call)
        case (.eviction, _): return try await evict(call)
        case (.ephemeralcontainers, _): return try await podPart(.ephemeralContainers, call)
        case (.resize, _): return try await podPart(.resources, call)
        case (.proxy, _): return try await LoopExecutor.away { try await proxy(call) }
        }
    }

    private func collection(_ call: APICall) async throws -> APIAnswer {
        if call.served.backing == .virtual { return try await virtual(call) }
        switch call.request.method {
        case .get where call.query.flag("watch"): return try await watch(call)
        case .get, .head: return try await LoopExecutor.away { try list(call) }
        case .post: return try await create(call)
        case .delete: return try await deleteCollection(call)
        default: throw call.methodNotAllowed
        }
    }

    private func object(_ call: APICall) async throws -> APIAnswer {
        if call.served.backing == .virtual { return try await virtual(call) }
        switch call.request.method {
        case .get where call.query.flag("watch"): return try await watch(call)
        case .get, .head: return try shown(call)
        case .put: return try await update(call)
        case .patch: return try await patch(call)
        case .delete: return try await delete(call)
        default: throw call.methodNotAllowed
        }
    }
}

/// The named limits of the API server.
package struct APILimits: Sendable {
    /// Upstream's limit of a request's body.
    package var bodyBytes = 3 * 1024 * 1024
    /// Path and header fields together; 431 above it. The HTTP reader itself ends connections at 80 KiB.
    package var headerBytes = 64 * 1024
    /// Requests under way that only read, and such as write; 429 above. Upstream's max-requests-inflight and
    /// max-mutating-requests-inflight. Watches, logs and callers of system:masters are not counted.
    package var readOnlyInFlight = 400
    package var mutatingInFlight = 200
    /// How often a patch or delete is tried again when another writer was faster.
    package var writeAttempts = 8
    /// How often another name is tried for `generateName`.
    package var nameAttempts = 8
    /// A watch without `timeoutSeconds` ends after this time and up to as much again.
    package var watchSeconds = 1800
    package var bookmarkSeconds = 60
    /// Objects that a page reads at once while it looks for those that a selector wants.
    package var scannedObjects = 500
    /// CustomResourceDefinitions; 403 above.
    package var definitions = Definition.countLimit

    package init() {}
}

extension Problem {
    /// A subresource that Kubernetes has and this server does not.
    static func unserved(_ subresource: String, of resource: Resource) -> Problem {
        guard ResourceTable.subresource(subresource, of: resource) != nil else {
            return Problem(.notFound, "the server could not find the requested resource")
        }
        return Problem(
            .notImplemented, "\(resource.plural)/\(subresource) is not implemented by this server yet")
    }
}
