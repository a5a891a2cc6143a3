// The history of configuration over the HTTP open API, versions 1, 2 and 3.

import Configurations
import Formats

struct HistoryCalls: Sendable {
    let operations: ConfigOperations

    func answerV1(_ request: OpenAPIRequest, rest: String) async throws(NacosProblem) -> OpenAPIResponse? {
        guard request.method == "GET" else { return nil }
        switch rest {
        case "history" where request.parameters["nid"] != nil:
            return .json(try await version(request).jsonV1(isWhole: true))
        case "history":
            let all = try await operations.history(of: try request.item())
            let shown = Page.of(all, number: request.pageNumber, size: request.pageSize)
            return .json(.page(shown.map { $0.jsonV1(isWhole: false) }, total: all.count, request))
        case "history/previous": return .json(try await previous(request).jsonV1(isWhole: true))
        case "history/configs":
            let all = try await operations.items(.init(namespace: NacosNames.catalogueNamespace(request.namespace)))
            return .json(.array(all.map { $0.jsonV1() }))
        default: return nil
        }
    }

    func answer(_ request: OpenAPIRequest, rest: String) async throws(NacosProblem) -> OpenAPIResponse? {
        guard request.method == "GET", !request.path.hasPrefix("/nacos/v3/client/") else { return nil }
        let isV2 = request.path.hasPrefix("/nacos/v2/")
        switch rest {
        case "history/list":
            let all = try await operations.history(of: try request.item())
            let shown = Page.of(all, number: request.pageNumber, size: request.pageSize)
            let items = shown.map { isV2 ? $0.jsonV1(isWhole: false) : $0.jsonV3(isWhole: false) }
            return .result(.page(items, total: all.count, request))
        case "history":
            let version = try await version(request)
            return .result(isV2 ? version.jsonV1(isWhole: true) : version.jsonV3(isWhole: true))
        case "history/previous":
            let version = try await previous(request)
            return .result(isV2 ? version.jsonV1(isWhole: true) : version.jsonV3(isWhole: true))
        case "history/configs":
            let all = try await operations.items(.init(namespace: NacosNames.catalogueNamespace(request.namespace)))
            return .result(.array(all.map { isV2 ? $0.jsonV1() : $0.jsonV3(isWhole: false) }))
        default: return nil
        }
    }

    private func version(_ request: OpenAPIRequest) async throws(NacosProblem) -> ConfigVersion {
        let number = try request.required("nid")
        let found = try await operations.history(of: try request.item()).first { String($0.number) == number }
        guard let found else { throw .notFound("certain config history for nid = \(number) not exist") }
        return found
    }

    /// The newest entry of the item that a console calls by its id.
    private func previous(_ request: OpenAPIRequest) async throws(NacosProblem) -> ConfigVersion {
        let id = request.parameter("id") ?? ""
        guard let found = try await operations.history(of: try request.item()).first else {
            throw .notFound("previous config history for id = \(id) not exist")
        }
        return found
    }
}

extension ConfigVersion {
    func jsonV1(isWhole: Bool) -> JSON {
        var json: JSON = [
            "id": .string(String(number)), "lastId": -1, "dataId": .string(name.dataID), "group": .string(name.group),
            "tenant": .string(NacosNames.oldTenant(name.namespace)), "appName": .string(details.application),
            "srcIp": .string(details.writerAddress), "srcUser": .string(details.writer),
            "opType": .string(deed.rawValue), "publishType": "formal", "createdTime": .string(created),
            "lastModifiedTime": .string(modified),
        ]
        guard isWhole else { return json }
        json["content"] = .string(content)
        json["md5"] = .string(ConfigText.md5(content))
        json["encryptedDataKey"] = .string(details.encryptedDataKey)
        return json
    }

    func jsonV3(isWhole: Bool) -> JSON {
        var json: JSON = [
            "id": .string(String(number)), "namespaceId": .string(NacosNames.nacosNamespace(name.namespace)),
            "groupName": .string(name.group), "dataId": .string(name.dataID), "appName": .string(details.application),
            "type": .string(ConfigOperations.type(details.type)), "srcIp": .string(details.writerAddress),
            "srcUser": .string(details.writer), "opType": .string(deed.rawValue), "publishType": "formal",
            "createTime": .integer(Int64(clamping: details.createdMilliseconds)),
            "modifyTime": .integer(Int64(clamping: details.modifiedMilliseconds)),
        ]
        guard isWhole else { return json }
        json["content"] = .string(content)
        json["md5"] = .string(ConfigText.md5(content))
        json["encryptedDataKey"] = .string(details.encryptedDataKey)
        return json
    }

    private var created: String { Self.text(details.createdMilliseconds) }
    private var modified: String { Self.text(details.modifiedMilliseconds) }

    /// `2025-06-01T08:30:00.000+00:00`, as Nacos writes times.
    private static func text(_ milliseconds: UInt64) -> String {
        let time = Timestamp(
            secondsSinceEpoch: Int64(clamping: milliseconds / 1_000),
            nanoseconds: Int32(milliseconds % 1_000) * 1_000_000)
        return String(time.rfc3339Micro.dropLast(4)) + "+00:00"
    }
}
