// What the versions of the HTTP API and gRPC do to configuration; each puts it in its own form.

import Configurations
import Formats

struct ConfigOperations: Sendable {
    let backend: Backend

    private var store: any ConfigStore { backend.configurations }

    /// `com.alibaba.nacos.api.config.ConfigType`; anything else is `text`.
    static let types: Set<String> = ["properties", "xml", "json", "text", "html", "yaml", "toml", "unset"]

    static func type(_ spoken: String?) -> String {
        guard let spoken, types.contains(spoken) else { return "text" }
        return spoken
    }

    func publish(_ draft: ConfigDraft) async throws(NacosProblem) {
        guard !draft.content.isEmpty else { throw .missing(parameter: "content") }
        try await backend.waitForConfigurations()
        do throws(ConfigProblem) {
            try await store.publish(draft)
        } catch {
            throw NacosProblem(error)
        }
    }

    @discardableResult
    func remove(
        _ name: ConfigName, _ variant: ConfigVariant, by writer: ConfigDetails
    ) async throws(NacosProblem) -> Bool {
        try await backend.waitForConfigurations()
        do throws(ConfigProblem) {
            return try await store.remove(name, variant, by: writer)
        } catch {
            throw NacosProblem(error)
        }
    }

    func annotate(_ name: ConfigName, labels: String?, summary: String?) async throws(NacosProblem) {
        try await backend.waitForConfigurations()
        do throws(ConfigProblem) {
            guard try await store.annotate(name, labels: labels, summary: summary) else { throw ConfigProblem.changed }
        } catch {
            throw error == .changed ? .notFound("Config not exist, please publish Config first.") : NacosProblem(error)
        }
    }

    /// The item, once the first full picture is in.
    func item(_ name: ConfigName) async throws(NacosProblem) -> ConfigItem? {
        try await backend.waitForConfigurations()
        return store.item(name)
    }

    func item(id: UInt64) async throws(NacosProblem) -> ConfigItem? {
        try await backend.waitForConfigurations()
        return store.items(namespace: nil).first { $0.id == id }
    }

    func history(of name: ConfigName) async throws(NacosProblem) -> [ConfigVersion] {
        do throws(ConfigProblem) {
            return try await store.history(of: name)
        } catch {
            throw NacosProblem(error)
        }
    }

    /// The fingerprint that a reader would be told; empty where there is nothing for it.
    func md5(_ name: ConfigName, for reader: ConfigReader) -> String {
        store.item(name)?.shown(to: reader)?.text.md5 ?? ""
    }

    /// What a console searches for. With `isExact` texts must agree, otherwise `*` stands for anything and a text
    /// without it may be anywhere.
    struct Search: Sendable {
        var namespace: String
        var dataID = ""
        var group = ""
        var isExact = true
        var application = ""
        var labels: [String] = []
        var types: [String] = []
        var content = ""
    }

    func items(_ search: Search) async throws(NacosProblem) -> [ConfigItem] {
        try await backend.waitForConfigurations()
        return store.items(namespace: search.namespace).filter { item in
            let labels = Set(item.details.labels.split(separator: ",").map(String.init))
            return Self.matches(item.name.dataID, search.dataID, search.isExact)
                && Self.matches(item.name.group, search.group, search.isExact)
                && (search.application.isEmpty || item.details.application == search.application)
                && (search.labels.isEmpty || search.labels.contains(where: labels.contains))
                && (search.types.isEmpty || search.types.contains(Self.type(item.details.type)))
                && (search.content.isEmpty || Self.matches(item.text?.content ?? "", search.content, false))
        }
    }

    private static func matches(_ text: String, _ wanted: String, _ isExact: Bool) -> Bool {
        if wanted.isEmpty { return true }
        if isExact { return text == wanted }
        let parts = wanted.split(separator: "*", omittingEmptySubsequences: true)
        if !wanted.contains("*") { return text.contains(wanted) }
        var rest = text[...]
        for (position, part) in parts.enumerated() {
            guard let found = rest.firstRange(of: part) else { return false }
            if position == 0, !wanted.hasPrefix("*"), found.lowerBound != rest.startIndex { return false }
            rest = rest[found.upperBound...]
        }
        if let last = parts.last, !wanted.hasSuffix("*") { return text.hasSuffix(last) }
        return true
    }
}

// MARK: - JSON

extension ConfigItem {
    private var contentType: String { ConfigOperations.type(details.type) }

    /// As version 1 shows it to consoles; with `isWhole` everything that is known.
    func jsonV1(isWhole: Bool = false) -> JSON {
        var json: JSON = [
            "id": .string(String(id)), "dataId": .string(name.dataID), "group": .string(name.group),
            "content": .string(text?.content ?? ""), "md5": .string(text?.md5 ?? ""),
            "encryptedDataKey": .string(details.encryptedDataKey),
            "tenant": .string(NacosNames.oldTenant(name.namespace)), "appName": .string(details.application),
            "type": .string(contentType),
        ]
        guard isWhole else { return json }
        json["createTime"] = .integer(Int64(clamping: details.createdMilliseconds))
        json["modifyTime"] = .integer(Int64(clamping: details.modifiedMilliseconds))
        json["createUser"] = .string(details.writer)
        json["createIp"] = .string(details.writerAddress)
        json["desc"] = .string(details.summary)
        json["use"] = .string(details.use)
        json["effect"] = .string(details.effect)
        json["schema"] = .string(details.schema)
        json["configTags"] = .string(details.labels)
        return json
    }

    /// As version 3 shows it; with `isWhole` the content too.
    func jsonV3(isWhole: Bool) -> JSON {
        var json: JSON = [
            "id": .string(String(id)), "namespaceId": .string(NacosNames.nacosNamespace(name.namespace)),
            "groupName": .string(name.group), "dataId": .string(name.dataID), "md5": .string(text?.md5 ?? ""),
            "type": .string(contentType), "appName": .string(details.application),
            "createTime": .integer(Int64(clamping: details.createdMilliseconds)),
            "modifyTime": .integer(Int64(clamping: details.modifiedMilliseconds)),
            "desc": .string(details.summary), "configTags": .string(details.labels),
        ]
        guard isWhole else { return json }
        json["content"] = .string(text?.content ?? "")
        json["encryptedDataKey"] = .string(details.encryptedDataKey)
        json["createUser"] = .string(details.writer)
        json["createIp"] = .string(details.writerAddress)
        return json
    }

    /// As version 3 and gRPC show it to a client.
    func answer(_ shown: ShownText) -> JSON {
        var json: JSON = [
            "content": .string(shown.text.content), "md5": .string(shown.text.md5),
            "lastModified": .integer(Int64(clamping: details.modifiedMilliseconds)),
            "contentType": .string(contentType), "encryptedDataKey": .string(details.encryptedDataKey),
            "isBeta": false, "beta": false,
        ]
        switch shown.variant {
        case .everyone: break
        case .beta:
            json["isBeta"] = true
            json["beta"] = true
        // nacos-sdk-python reads the tag as a flag, so it is only there when a text was chosen by it.
        case .tag(let tag): json["tag"] = .string(tag)
        }
        return json
    }
}

extension NacosNames {
    /// How version 1 calls the namespace of an item: empty for `public`.
    static func oldTenant(_ namespace: String) -> String {
        let spoken = nacosNamespace(namespace)
        return spoken == publicNamespace ? "" : spoken
    }
}
