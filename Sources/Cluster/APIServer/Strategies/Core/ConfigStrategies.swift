// The rules of Secrets and ConfigMaps (upstream: pkg/apis/core/{v1,validation}).

import Formats
import Objects

struct SecretStrategy: Strategy {
    static let sizeBytes = 1024 * 1024
    /// What a Secret of a type must hold.
    private static let required: [String: [String]] = [
        "kubernetes.io/dockercfg": [".dockercfg"], "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
        "kubernetes.io/ssh-auth": ["ssh-privatekey"], "kubernetes.io/tls": ["tls.crt", "tls.key"],
    ]

    var selectableFields: [String] { ["type"] }

    /// `stringData` is write-only and becomes part of `data`.
    func setDefaults(_ object: inout Object) {
        object.tree.fill("type", "Opaque")
        guard let plain = object["stringData"]?.object else { return }
        object.tree.fill("data", [:])
        object.tree.edit("data") { data in
            for member in plain {
                data[member.key] = .string(Base64.encode(Array((member.value.string ?? "").utf8)))
            }
        }
        object["stringData"] = nil
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let data = root["data"]
            findings.dataKeys(data)
            if Findings.decodedBytes(data) > Self.sizeBytes { findings.tooLong(data, bytes: Self.sizeBytes) }
            switch object["type"]?.string ?? "" {
            case "kubernetes.io/service-account-token":
                let name = "kubernetes.io/service-account.name"
                if (object.annotations[name] ?? "").isEmpty {
                    findings.required(Field(path: .entry(root["metadata"]["annotations"].path, name), nil))
                }
            case "kubernetes.io/basic-auth":
                if !data["username"].exists, !data["password"].exists {
                    for key in ["username", "password"] { findings.required(Field(path: .entry(data.path, key), nil)) }
                }
            case let type:
                for key in Self.required[type] ?? [] where !data[key].exists {
                    findings.required(Field(path: .entry(data.path, key), nil))
                }
                if type.hasPrefix("kubernetes.io/dockerc") {
                    Self.credentials(data, Self.required[type]?.first ?? "", &findings)
                }
            }
        }
    }

    private static func credentials(_ data: Field, _ key: String, _ findings: inout Findings) {
        guard let text = data[key].value?.string, let bytes = Base64.decode(text) else { return }
        do {
            _ = try JSON(parsing: bytes)
        } catch {
            let place = Field(path: .entry(data.path, key), nil)
            findings.invalid(place, value: "<secret contents redacted>", error.message)
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            findings.isUnchanged(root["type"], from: Field(old)["type"])
            findings.frozenData(root, from: Field(old), ["data"])
        }
    }
}

struct ConfigMapStrategy: Strategy {
    static let sizeBytes = 1024 * 1024

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let (texts, binaries) = (root["data"], root["binaryData"])
            var size = Findings.decodedBytes(binaries)
            for (key, field) in texts.entries {
                findings.dataKey(key, field)
                if binaries[key].exists {
                    findings.invalid(
                        Field(path: .entry(texts.path, key), .string(key)), "duplicate of key present in binaryData")
                }
                size += field.text.utf8.count
            }
            findings.dataKeys(binaries)
            if size > Self.sizeBytes { findings.tooLong(Field(path: .root, nil), bytes: Self.sizeBytes) }
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { $1.frozenData($0, from: Field(old), ["data", "binaryData"]) }
    }
}

extension Findings {
    mutating func dataKeys(_ field: Field) {
        for (key, entry) in field.entries { dataKey(key, entry) }
    }

    mutating func dataKey(_ key: String, _ entry: Field) {
        for message in NameRules.configKeyMessages(key) { invalid(entry, value: .string(key), message) }
    }

    /// What base64 texts come to, to three bytes.
    static func decodedBytes(_ field: Field) -> Int {
        field.entries.reduce(0) { sum, entry in
            let text = entry.field.text
            return sum + text.utf8.count / 4 * 3 - text.utf8.suffix(2).count(where: { $0 == UInt8(ascii: "=") })
        }
    }

    /// Once immutable, always immutable.
    mutating func frozenData(_ root: Field, from old: Field, _ fields: [String]) {
        guard old["immutable"].isTrue else { return }
        let why = "field is immutable when `immutable` is set"
        if !root["immutable"].isTrue { forbidden(root["immutable"], why) }
        for field in fields where root[field].value != old[field].value { forbidden(root[field], why) }
    }
}
