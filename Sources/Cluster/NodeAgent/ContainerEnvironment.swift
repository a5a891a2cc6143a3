// Resolves a container's environment and the $(NAME) references in it, its command and its arguments.

import Formats
import Objects

/// A container's environment, in the order in which the spec gives it.
struct ContainerEnvironment: Sendable {
    private(set) var variables: [String: String] = [:]

    /// `base` is what every container of the pod gets; `fields` answers references to the pod itself.
    init(
        of container: ContainerSpecification, base: [String: String], sources: PodSources, namespace: String,
        fields: DownwardFields
    ) throws(StartFailure) {
        variables = base
        for source in container.tree["envFrom"]?.array ?? [] { try add(from: source, sources) }
        for variable in container.tree["env"]?.array ?? [] {
            guard let name = variable["name"]?.string else { continue }
            if let from = variable["valueFrom"], !from.isNull {
                if let value = try Self.value(
                    from: from, sources, namespace: namespace, fields: fields, container: container.name)
                {
                    variables[name] = value
                }
            } else {
                variables[name] = expand(variable["value"]?.string ?? "")
            }
        }
    }

    /// Replaces `$(NAME)` by the variable's value; an unknown name stays as it is, `$$` stands for one `$`
    /// (upstream `third_party/forked/golang/expansion`).
    func expand(_ text: String) -> String {
        guard text.contains("$") else { return text }
        var result = ""
        var rest = Substring(text)
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            let after = rest.index(after: dollar)
            guard after < rest.endIndex else {
                result += "$"
                return result
            }
            if rest[after] == "$" {
                result += "$"
                rest = rest[rest.index(after: after)...]
            } else if rest[after] == "(", let close = rest[after...].firstIndex(of: ")") {
                let name = String(rest[rest.index(after: after)..<close])
                result += variables[name] ?? "$(\(name))"
                rest = rest[rest.index(after: close)...]
            } else {
                result += "$"
                rest = rest[after...]
            }
        }
        return result + rest
    }

    private mutating func add(from source: JSON, _ sources: PodSources) throws(StartFailure) {
        let prefix = source["prefix"]?.string ?? ""
        let data: [String: [UInt8]]?
        let reference: JSON
        let kind: String
        if let configMap = source["configMapRef"] {
            (reference, kind) = (configMap, "configmap")
            data = sources.configMapData(configMap["name"]?.string ?? "")
        } else if let secret = source["secretRef"] {
            (reference, kind) = (secret, "secret")
            data = sources.secretData(secret["name"]?.string ?? "")
        } else {
            throw StartFailure(PodSources.failureReason, "envFrom names neither configMapRef nor secretRef")
        }
        guard let data else {
            if reference["optional"]?.bool == true { return }
            throw StartFailure(PodSources.failureReason, "\(kind) \"\(reference["name"]?.string ?? "")\" not found")
        }
        for (key, value) in data { variables[prefix + key] = String(decoding: value, as: UTF8.self) }
    }

    /// The value that a `valueFrom` stands for; nil when it is optional and not there.
    private static func value(
        from source: JSON, _ sources: PodSources, namespace: String, fields: DownwardFields, container: String
    ) throws(StartFailure) -> String? {
        if let resource = source["resourceFieldRef"] { return try fields.resource(resource, of: container) }
        if let path = source["fieldRef", "fieldPath"]?.string {
            if let value = fields.value(at: path) { return value }
            throw StartFailure(PodSources.failureReason, "fieldRef \"\(path)\" is not supported")
        }
        let (reference, kind, data): (JSON, String, [String: [UInt8]]?)
        if let configMap = source["configMapKeyRef"] {
            (reference, kind, data) = (configMap, "ConfigMap", sources.configMapData(configMap["name"]?.string ?? ""))
        } else if let secret = source["secretKeyRef"] {
            (reference, kind, data) = (secret, "Secret", sources.secretData(secret["name"]?.string ?? ""))
        } else {
            let names = source.object?.keys.joined(separator: ", ") ?? ""
            throw StartFailure(PodSources.failureReason, "valueFrom \(names) is not supported")
        }
        let isOptional = reference["optional"]?.bool == true
        let name = reference["name"]?.string ?? ""
        let key = reference["key"]?.string ?? ""
        guard let data else {
            if isOptional { return nil }
            throw StartFailure(PodSources.failureReason, "\(kind.lowercased()) \"\(name)\" not found")
        }
        guard let value = data[key] else {
            if isOptional { return nil }
            throw StartFailure(PodSources.failureReason, "couldn't find key \(key) in \(kind) \(namespace)/\(name)")
        }
        return String(decoding: value, as: UTF8.self)
    }
}
