// Asks a server which resources it serves.

import Formats
import Objects

extension KubernetesClient {
    /// Every resource in the version that the server prefers; subresources are left out.
    package func discover() async throws -> [Resource] {
        var resources = try await resources(group: "", version: "v1", path: "/api/v1")
        let groups = try await tree("/apis")
        for group in groups["groups"]?.array ?? [] {
            guard let name = group["name"]?.string,
                let version = group["preferredVersion"]?["version"]?.string
            else { continue }
            resources += try await self.resources(group: name, version: version, path: "/apis/\(name)/\(version)")
        }
        return resources
    }

    private func resources(group: String, version: String, path: String) async throws -> [Resource] {
        (try await tree(path)["resources"]?.array ?? []).compactMap { entry in
            guard let plural = entry["name"]?.string, !plural.contains("/"), let kind = entry["kind"]?.string else {
                return nil
            }
            return Resource(
                group: group, version: version, kind: kind, plural: plural, singular: entry["singularName"]?.string,
                isNamespaced: entry["namespaced"]?.bool ?? false, shortNames: entry["shortNames"]?.strings ?? [],
                categories: entry["categories"]?.strings ?? [], verbs: entry["verbs"]?.strings ?? [])
        }
    }

    private func tree(_ path: String) async throws -> JSON {
        try JSON(parsing: await raw(path).body.collect(limitBytes: Self.answerLimitBytes))
    }
}
