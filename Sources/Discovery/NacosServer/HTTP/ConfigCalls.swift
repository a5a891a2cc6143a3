// Configuration over the HTTP open API, versions 1, 2 and 3.

import Configurations
import Formats

struct ConfigCalls: Sendable {
    let operations: ConfigOperations
    let polling: ConfigPolling

    // MARK: Version 1

    func answerV1(_ request: OpenAPIRequest, rest: String) async throws(NacosProblem) -> OpenAPIResponse? {
        let parameters = request.parameters
        switch (request.method, rest) {
        case ("GET", "configs") where parameters["search"] != nil: return try await search(request)
        case ("GET", "configs") where parameters["show"] == "all":
            guard let item = try await operations.item(try request.item()) else { return .json(.null) }
            return .json(item.jsonV1(isWhole: true))
        case ("GET", "configs") where parameters.flag("beta") == true: return try await betaV1(request)
        case ("GET", "configs") where parameters["export"] == nil: return try await plain(request)
        case ("POST", "configs") where parameters["import"] == nil && parameters["clone"] == nil:
            try await operations.publish(try request.draft())
            return .text("true")
        case ("DELETE", "configs") where parameters["delType"] == "ids":
            try await removeMany(request)
            return .restResult(true)
        case ("DELETE", "configs") where parameters.flag("beta") == true:
            try await operations.remove(try request.item(), .beta([]), by: request.writer)
            return .restResult(true, message: "stop beta ok")
        case ("DELETE", "configs"):
            try await operations.remove(try request.item(), try request.variant(), by: request.writer)
            return .text("true")
        case ("GET", "configs/catalog"):
            guard let item = try await operations.item(try request.item()) else { return .restResult(.null) }
            return .restResult(item.jsonV1(isWhole: true))
        case ("POST", "configs/listener"): return try await listen(request)
        case ("GET", "configs/listener"): return .json(listeners(try request.item()))
        case ("GET", "listener"): return .json(listened(by: try request.required("ip")))
        case ("GET", "health"): return .text("UP")
        default: return nil
        }
    }

    /// The bare content, with what is known of it in headers.
    private func plain(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        let item = try await operations.item(try request.item())
        guard let item, let shown = item.shown(to: try request.reader()) else {
            return .text("config data not exist", status: 404)
        }
        let type = ConfigOperations.type(item.details.type)
        var answer = OpenAPIResponse(
            contentType: Self.contentTypes[type] ?? "text/plain;charset=UTF-8", bytes: Array(shown.text.content.utf8))
        func add(_ name: String, _ value: String) { answer.headers.append(.init(name: name, value: value)) }
        add("Content-MD5", shown.text.md5)
        add("Config-Type", type)
        add("Last-Modified-Milliseconds", String(item.details.modifiedMilliseconds))
        add("Cache-Control", "no-cache,no-store")
        add("Pragma", "no-cache")
        if !item.details.encryptedDataKey.isEmpty { add("Encrypted-Data-Key", item.details.encryptedDataKey) }
        if case .beta = shown.variant { add("isBeta", "true") }
        if case .tag(let tag) = shown.variant { add("Vipserver-Tag", tag) }
        return answer
    }

    private static let contentTypes = [
        "json": "application/json;charset=UTF-8", "xml": "application/xml;charset=UTF-8",
        "html": "text/html;charset=UTF-8",
    ]

    private func search(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        let found = try await operations.items(request.search(isExact: request.parameters["search"] == "accurate"))
        let shown = Page.of(found, number: request.pageNumber, size: request.pageSize)
        return .json(.page(shown.map { $0.jsonV1() }, total: found.count, request))
    }

    private func betaV1(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        guard let item = try await operations.item(try request.item()), let beta = item.beta else {
            return .restResult(.null, message: "query beta ok")
        }
        var json = item.jsonV1()
        json["content"] = .string(beta.text.content)
        json["md5"] = .string(beta.text.md5)
        json["betaIps"] = .string(beta.addresses.joined(separator: ","))
        return .restResult(json, message: "query beta ok")
    }

    private func removeMany(_ request: OpenAPIRequest) async throws(NacosProblem) {
        for id in try request.required("ids").split(separator: ",") {
            guard let number = UInt64(id), let item = try await operations.item(id: number) else { continue }
            try await operations.remove(item.name, .everyone, by: request.writer)
        }
    }

    // MARK: Listening

    /// With a `Long-Pulling-Timeout` the call is held until something is out of date.
    private func listen(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        let items = try ListeningConfigs.items(parsing: try request.required("Listening-Configs"))
        try await operations.backend.waitForConfigurations()
        let reader = try request.reader()
        let operations = operations
        let stale: @Sendable () -> [ListenedItem] = {
            items.filter { operations.md5($0.name, for: reader) != $0.md5 }
        }
        guard let milliseconds = request.header("Long-Pulling-Timeout").flatMap({ Int($0) }),
            request.header("Long-Pulling-Timeout-No-Hangup") != "true"
        else { return .text(ListeningConfigs.answer(stale())) }
        let hold = ConfigPolling.hold(forMilliseconds: milliseconds)
        let found = await polling.wait(for: Set(items.map(\.name)), hold: hold, stale)
        return .text(ListeningConfigs.answer(found))
    }

    private func listeners(_ name: ConfigName) -> JSON {
        let known = operations.backend.connections.listeners(of: name).map { connection in
            (connection.address, JSON.string(connection.listened(name)?.md5 ?? ""))
        }
        return ["collectStatus": 200, "lisentersGroupkeyStatus": .object(JSONObject(known))]
    }

    private func listened(by address: String) -> JSON {
        var status = JSONObject()
        for connection in operations.backend.connections.all where connection.address == address {
            for item in connection.listenedItems { status[NacosNames.key(of: item.name)] = .string(item.md5) }
        }
        return ["collectStatus": 200, "lisentersGroupkeyStatus": .object(status)]
    }

    // MARK: Versions 2 and 3

    func answer(_ request: OpenAPIRequest, rest: String) async throws(NacosProblem) -> OpenAPIResponse? {
        if request.path.hasPrefix("/nacos/v3/client/"), (request.method, rest) != ("GET", "config") { return nil }
        switch (request.method, rest) {
        case ("GET", "config"): return try await config(request)
        case ("POST", "config"):
            try await operations.publish(try request.draft())
            return .result(true)
        case ("DELETE", "config"):
            try await operations.remove(try request.item(), try request.variant(), by: request.writer)
            return .result(true)
        case ("DELETE", "config/batch"), ("DELETE", "config/batchDelete"):
            try await removeMany(request)
            return .result(true)
        case ("PUT", "config/metadata"):
            try await operations.annotate(
                try request.item(), labels: request.parameters["configTags"], summary: request.parameters["desc"])
            return .result(true)
        case ("GET", "config/list"), ("GET", "config/searchDetail"):
            let found = try await operations.items(request.search(isExact: request.parameters["search"] == "accurate"))
            let shown = Page.of(found, number: request.pageNumber, size: request.pageSize)
            return .result(.page(shown.map { $0.jsonV3(isWhole: false) }, total: found.count, request))
        case ("GET", "config/beta"):
            guard let item = try await operations.item(try request.item()), let beta = item.beta else {
                throw .notFound("Config is not in beta.")
            }
            var json = item.jsonV3(isWhole: true)
            json["content"] = .string(beta.text.content)
            json["md5"] = .string(beta.text.md5)
            json["grayName"] = "beta"
            json["grayRule"] = .string(beta.addresses.joined(separator: ","))
            return .result(json)
        case ("DELETE", "config/beta"):
            try await operations.remove(try request.item(), .beta([]), by: request.writer)
            return .result(true)
        case ("GET", "config/listener"):
            let known = listeners(try request.item())["lisentersGroupkeyStatus"] ?? [:]
            return .result(["queryType": "config", "listenersStatus": known])
        case ("GET", "listener"):
            let known = listened(by: try request.required("ip"))["lisentersGroupkeyStatus"] ?? [:]
            return .result(["queryType": "ip", "listenersStatus": known])
        default: return nil
        }
    }

    /// Version 2 answers with the content alone, version 3 with what its readers look at.
    private func config(_ request: OpenAPIRequest) async throws(NacosProblem) -> OpenAPIResponse {
        let item = try await operations.item(try request.item())
        if request.path.hasPrefix("/nacos/v3/admin/") || request.path.hasPrefix("/nacos/v3/console/") {
            guard let item, item.text != nil else {
                throw .notFound("Config not exist, please publish Config first.")
            }
            return .result(item.jsonV3(isWhole: true))
        }
        guard let item, let shown = item.shown(to: try request.reader()) else {
            throw .notFound("config data not exist")
        }
        if request.path.hasPrefix("/nacos/v2/") { return .result(.string(shown.text.content)) }
        return .result(item.answer(shown))
    }
}

// MARK: - What requests of every version say

extension OpenAPIRequest {
    func item() throws(NacosProblem) -> ConfigName {
        try NacosNames.item(
            namespace: namespace, group: parameter("group", "groupName"), dataID: parameter("dataId"))
    }

    func variant() throws(NacosProblem) -> ConfigVariant {
        try NacosNames.tag(parameters["tag"]).map { .tag($0) } ?? .everyone
    }

    func reader() throws(NacosProblem) -> ConfigReader {
        ConfigReader(address: peer, tag: try NacosNames.tag(parameter("tag") ?? header("Vipserver-Tag")))
    }

    /// Who writes, as far as it says so.
    var writer: ConfigDetails {
        var details = ConfigDetails()
        details.writer = parameter("src_user", "srcUser", "username") ?? ""
        details.writerAddress = peer
        return details
    }

    func draft() throws(NacosProblem) -> ConfigDraft {
        var draft = ConfigDraft(name: try item(), content: try required("content"))
        draft.details = writer
        draft.details.type = ConfigOperations.type(parameter("type"))
        draft.details.application = parameter("appName") ?? ""
        draft.details.labels = parameter("config_tags", "configTags") ?? ""
        draft.details.summary = parameter("desc") ?? ""
        draft.details.use = parameter("use") ?? ""
        draft.details.effect = parameter("effect") ?? ""
        draft.details.schema = parameter("schema") ?? ""
        draft.details.encryptedDataKey = parameter("encryptedDataKey") ?? ""
        draft.expectedMD5 = header("casMd5") ?? parameter("casMd5")
        draft.variant = try variant()
        if let addresses = header("betaIps") ?? parameter("betaIps") {
            draft.variant = .beta(NacosNames.addresses(addresses))
        }
        return draft
    }

    func search(isExact: Bool) -> ConfigOperations.Search {
        var search = ConfigOperations.Search(namespace: NacosNames.catalogueNamespace(namespace))
        search.dataID = parameter("dataId") ?? ""
        search.group = parameter("group", "groupName") ?? ""
        search.isExact = isExact
        search.application = parameter("appName") ?? ""
        search.labels = (parameter("config_tags", "configTags") ?? "").split(separator: ",").map(String.init)
        search.types = (parameter("type", "types") ?? "").split(separator: ",").map(String.init)
        search.content = parameter("config_detail", "configDetail") ?? ""
        return search
    }
}

extension NacosNames {
    /// Addresses by comma.
    static func addresses(_ text: String) -> [String] {
        text.split(separator: ",").map { String($0.filter { $0 != " " }) }.filter { !$0.isEmpty }
    }
}
