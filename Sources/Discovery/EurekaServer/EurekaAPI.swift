// Eureka's REST operations (`com.netflix.eureka.resources`): reads from the view, writes to the catalogue.

import Catalogue
import Compression
import Formats
import HTTPServing

struct EurekaAPI: Sendable {
    let catalogue: ServiceCatalogue
    let view: RegistryView
    let registrations: Registrations
    let answers = AnswerCache()
    let counters = EurekaCounters()

    /// How long a reader waits for the first full picture before it is told to come again.
    static let completenessPatience: Duration = .milliseconds(2_500)
    /// Answers from this size on are compressed for clients that take it.
    static let gzipThreshold = 1_024

    init(catalogue: ServiceCatalogue, preservation: SelfPreservation? = nil, clock: EurekaClock = .system) {
        self.catalogue = catalogue
        view = RegistryView(catalogue: catalogue, clock: clock)
        registrations = Registrations(catalogue: catalogue, view: view, preservation: preservation, clock: clock)
    }

    func answer(_ request: HTTPRequest) async -> EurekaAnswer {
        if let answer = answerAtOnce(request) { return answer }
        do throws(EurekaProblem) {
            let call = try EurekaCall(request)
            let answer = try await perform(call)
            counters.answered(call, status: answer.status)
            return answer
        } catch {
            return refused(error)
        }
    }

    /// The answer to what clients say all the time, where nothing has to be waited for; nil for all else.
    func answerAtOnce(_ request: HTTPRequest) -> EurekaAnswer? {
        do throws(EurekaProblem) {
            let call = try EurekaCall(request)
            guard let answer = try write(call) else { return nil }
            counters.answered(call, status: answer.status)
            return answer
        } catch {
            return refused(error)
        }
    }

    private func refused(_ problem: EurekaProblem) -> EurekaAnswer {
        counters.refused(status: problem.status)
        return .text(problem.description, status: problem.status)
    }

    /// What changes one instance.
    private func write(_ call: EurekaCall) throws(EurekaProblem) -> EurekaAnswer? {
        switch (call.request.method, call.route) {
        case ("POST", .app(let app)): try register(app, call)
        case ("PUT", .instance(let app, let id)): try beat(call.key(app, id), call)
        case ("DELETE", .instance(let app, let id)): try cancel(call.key(app, id))
        case ("PUT", .status(let app, let id)): try override(call.key(app, id), call)
        case ("DELETE", .status(let app, let id)): try removeOverride(call.key(app, id), call)
        case ("PUT", .metadata(let app, let id)): try changeMetadata(call.key(app, id), call)
        default: nil
        }
    }

    private func perform(_ call: EurekaCall) async throws(EurekaProblem) -> EurekaAnswer {
        switch (call.request.method, call.route) {
        case ("GET", .metrics): return metrics()
        case ("GET", .apps): return try await all(call, isDelta: false)
        case ("GET", .delta): return try await all(call, isDelta: true)
        case ("GET", .app(let app)): return try await application(app, call)
        case ("GET", .instance(let app, let id)): return try await instance(id, of: app, call)
        case ("GET", .anyInstance(let id)): return try await anyInstance(id, call)
        case ("GET", .vip(let vip)): return try await lookUp(vip, call, by: \.vipAddress)
        case ("GET", .secureVip(let vip)): return try await lookUp(vip, call, by: \.secureVipAddress)
        case ("POST", .replication): return try replicate(call)
        case (let method, _): throw .notAllowed(method: method)
        }
    }

    private func metrics() -> EurekaAnswer {
        var text = MetricsText()
        writeMetrics(to: &text)
        return EurekaAnswer(contentType: MetricsText.contentType, body: Array(text.text.utf8))
    }

    // MARK: Readers

    private func waitUntilComplete() async throws(EurekaProblem) {
        guard await catalogue.isComplete(within: Self.completenessPatience) else { throw .starting }
    }

    /// The whole registry of a namespace, or what changed in it lately. The regions that a client names are those of
    /// other data centres, of which there are none.
    private func all(_ call: EurekaCall, isDelta: Bool) async throws(EurekaProblem) -> EurekaAnswer {
        try await waitUntilComplete()
        // Before the view is read: what the caller is taken to know is never newer than what it is told.
        catalogue.pollEverything(call.subscriber, in: call.namespace, isDeclared: call.request.isClient)
        let now = registrations.now().instant
        let (version, key) = view.read(call.namespace) { machine in
            (machine.version, AnswerCache.Key(namespace: call.namespace, isDelta: isDelta, form: call.request.form))
        }
        if let body = answers.body(key, version: version, gzip: call.request.acceptsGzip) {
            return call.answer(body.bytes, isGzip: body.isGzip)
        }
        let listing = view.read(call.namespace) { isDelta ? Listing(delta: $0, now: now) : Listing(full: $0) }
        let bytes = RegistryWriter.bytes(source(listing, call.namespace), call.request.form)
        let body = answers.keep(bytes, key, version: listing.version, gzip: call.request.acceptsGzip)
        return call.answer(body.bytes, isGzip: body.isGzip)
    }

    private func application(_ app: String, _ call: EurekaCall) async throws(EurekaProblem) -> EurekaAnswer {
        try await waitUntilComplete()
        for service in view.read(call.namespace, { $0.services(of: app) }) {
            _ = catalogue.poll(call.subscriber, service)
        }
        let entries = view.read(call.namespace) { $0.entries(of: app) }
        guard !entries.isEmpty else { throw .notFound("there is no application \(app)") }
        let instances = entries.map { info($0.entry, call.namespace) }
        return call.compressed(RegistryWriter.bytes(application: app, instances, call.request.form))
    }

    private func instance(
        _ id: String, of app: String, _ call: EurekaCall
    ) async throws(EurekaProblem) -> EurekaAnswer {
        try await waitUntilComplete()
        guard let entry = view.read(call.namespace, { $0.entry(id, of: app) }) else {
            throw .notFound("\(app) has no instance \(id)")
        }
        return call.compressed(RegistryWriter.bytes(info(entry, call.namespace), call.request.form))
    }

    private func anyInstance(_ id: String, _ call: EurekaCall) async throws(EurekaProblem) -> EurekaAnswer {
        try await waitUntilComplete()
        let entry = view.read(call.namespace) { machine in
            machine.names.lazy.compactMap { machine.entry(id, of: $0) }.first
        }
        guard let entry else { throw .notFound("there is no instance \(id)") }
        return call.compressed(RegistryWriter.bytes(info(entry, call.namespace), call.request.form))
    }

    /// The instances that have this virtual address, by application; none is no error.
    private func lookUp(
        _ vip: String, _ call: EurekaCall, by address: KeyPath<InstanceInfo, String?> & Sendable
    ) async throws(EurekaProblem) -> EurekaAnswer {
        try await waitUntilComplete()
        let wanted = vip.lowercased()
        func matches(_ entry: RegistryViewMachine.Entry) -> Bool {
            let names = info(entry, call.namespace)[keyPath: address] ?? ""
            return names.lowercased().split(separator: ",").contains { $0 == wanted }
        }
        func find() -> Listing {
            var listing = view.read(call.namespace) { Listing(full: $0) }
            for (app, entries) in listing.entries {
                let found = entries.filter(matches)
                listing.entries[app] = found.isEmpty ? nil : found
            }
            listing.names = listing.entries.keys.sorted()
            listing.hashCode = RegistryViewMachine.hashCode(of: listing.entries.values.lazy.joined().map(\.status))
            return listing
        }
        // Found first and read afterwards, so that what the caller is taken to know is never newer than its answer.
        let departed = view.read(call.namespace) { $0.departed }.filter(matches)
        for service in Set((find().entries.values.joined() + departed).map(\.service)) {
            _ = catalogue.poll(call.subscriber, service)
        }
        return call.compressed(RegistryWriter.bytes(source(find(), call.namespace), call.request.form))
    }

    private func source(_ listing: Listing, _ namespace: String) -> ApplicationSource {
        ApplicationSource(
            version: listing.isDelta ? listing.version : 1, hashCode: listing.hashCode, names: listing.names
        ) { name in (listing.entries[name] ?? []).map { info($0, namespace) } }
    }

    private func info(_ entry: RegistryViewMachine.Entry, _ namespace: String) -> InstanceInfo {
        var info = InstanceInfo(entry.instance, of: entry.service, updated: entry.updated)
        info.action = entry.action
        let key = RegistrationKey(namespace: namespace, app: info.app, id: info.id)
        if let beat = registrations.lastBeat(key) { info.lease.lastRenewal = beat }
        return info
    }
}

/// What an answer shows of a namespace, taken from one state.
struct Listing: Sendable {
    var version: UInt64
    var isDelta: Bool
    var hashCode: String
    var names: [String]
    var entries: [String: [RegistryViewMachine.Entry]]

    init(full machine: RegistryViewMachine) {
        version = machine.version
        isDelta = false
        hashCode = machine.hashCode
        names = machine.names
        entries = Dictionary(uniqueKeysWithValues: names.map { ($0, machine.entries(of: $0).map(\.entry)) })
    }

    init(delta machine: RegistryViewMachine, now: ContinuousClock.Instant) {
        version = machine.version
        isDelta = true
        hashCode = machine.hashCode
        entries = machine.delta(now: now).mapValues { $0.map(\.entry) }
        names = entries.keys.sorted()
    }
}

/// One request with what its path says.
struct EurekaCall: Sendable {
    var namespace: String
    var route: EurekaRoute
    var request: HTTPRequest
    /// Those of the query, decoded.
    var parameters: [(name: String, value: String)]

    init(_ request: HTTPRequest) throws(EurekaProblem) {
        let (path, query) = request.place
        guard let (namespace, route) = EurekaRoute.parse(path[...], defaultNamespace: ServiceName.defaultNamespace)
        else { throw .notFound("Eureka has no such path; begin with /eureka/apps") }
        guard EurekaNames.isNamespace(namespace) else { throw .invalid("\(namespace.prefix(80)) is no namespace") }
        self.namespace = namespace
        self.route = route
        self.request = request
        parameters = PercentText.parameters(query[...])
    }

    /// A caller is known by what it says of itself; processes that say the same count as one.
    var subscriber: SubscriberID { SubscriberID("eureka/\(request.peer)/\(request.identity)") }

    func parameter(_ name: String) -> String? { parameters.first { $0.name == name }?.value }

    func key(_ app: String, _ id: String) -> RegistrationKey {
        RegistrationKey(namespace: namespace, app: app, id: id)
    }

    func answer(_ body: [UInt8], isGzip: Bool) -> EurekaAnswer {
        EurekaAnswer(contentType: request.form.contentType, body: body, isGzip: isGzip)
    }

    func compressed(_ body: [UInt8]) -> EurekaAnswer {
        guard request.acceptsGzip, body.count >= EurekaAPI.gzipThreshold, let small = Deflate.gzip(body) else {
            return answer(body, isGzip: false)
        }
        return answer(small, isGzip: true)
    }
}
