// A snapshot as Nacos' ServiceInfo: always the full list, with what the reader asked to leave out left out.

import Catalogue
import Formats
import Synchronization

/// What a reader wants of a service.
struct ServiceSelection: Sendable, Hashable {
    /// Clusters by comma, empty for all; clients find their answer again by this very text.
    var clusters = ""
    var isHealthyOnly = false

    /// The instances to show, and whether the service is protected: so few of them are healthy that all are shown as if
    /// they were, lest the rest break under the load (`ServiceUtil.selectInstancesWithHealthyProtection`). Disabled
    /// instances are shown to nobody.
    func instances(of snapshot: ServiceSnapshot, protectionThreshold: Double = 0) -> (
        shown: [Instance], isProtected: Bool
    ) {
        let wanted = Set(clusters.split(separator: ",").map(String.init))
        var shown = snapshot.instances.filter { $0.isEnabled && (wanted.isEmpty || wanted.contains($0.cluster)) }
        let healthy = shown.lazy.filter(\.isHealthy).count
        if protectionThreshold > 0, !shown.isEmpty, Double(healthy) / Double(shown.count) <= protectionThreshold {
            for position in shown.indices { shown[position].isHealthy = true }
            return (shown, true)
        }
        return (isHealthyOnly ? shown.filter(\.isHealthy) : shown, false)
    }
}

/// The two spellings of a ServiceInfo.
enum ServiceInfoForm: Hashable, Sendable {
    /// Over gRPC, where the name goes without its group.
    case connected
    /// Over HTTP, where the name must be `GROUP@@name` (`InstanceOperatorClientImpl#listInstance`).
    case polled(cacheMilliseconds: Int)
}

enum ServiceInfo {
    /// How long a client of the connection may go without asking again.
    static let connectedCacheMilliseconds = 10_000
    /// How often a polling client is asked to come; a rollout waits as long for it.
    static let polledCacheMilliseconds = 3_000
    /// How often one comes that is told of changes by UDP.
    static let pushedCacheMilliseconds = 10_000

    /// `lastRefTime` is the version: strictly growing per service.
    static func bytes(
        _ snapshot: ServiceSnapshot, _ selection: ServiceSelection, _ form: ServiceInfoForm,
        protectionThreshold: Double = 0
    ) -> [UInt8] {
        let (shown, isProtected) = selection.instances(of: snapshot, protectionThreshold: protectionThreshold)
        let service = snapshot.service
        var json: JSON = [:]
        switch form {
        case .connected:
            json["name"] = .string(service.name)
            json["cacheMillis"] = JSON(connectedCacheMilliseconds)
            json["allIps"] = false
        case .polled(let cacheMilliseconds):
            json["name"] = .string(NacosNames.grouped(service))
            json["cacheMillis"] = JSON(cacheMilliseconds)
            json["allIPs"] = false
        }
        json["groupName"] = .string(service.group)
        json["clusters"] = .string(selection.clusters)
        json["lastRefTime"] = .integer(Int64(clamping: snapshot.version))
        json["checksum"] = ""
        json["reachProtectionThreshold"] = .bool(isProtected)
        json["valid"] = true
        var bytes = json.bytes
        bytes.removeLast()
        bytes.append(contentsOf: #","hosts":"#.utf8)
        append(shown, of: service, to: &bytes)
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    /// Appends instances as an array.
    static func append(_ instances: [Instance], of service: ServiceName, to bytes: inout [UInt8]) {
        let grouped = NacosNames.grouped(service)
        bytes.reserveCapacity(bytes.count + instances.count * 400)
        bytes.append(UInt8(ascii: "["))
        for (position, instance) in instances.enumerated() {
            if position > 0 { bytes.append(UInt8(ascii: ",")) }
            instance.writeNacosJSON(of: grouped, to: &bytes)
        }
        bytes.append(UInt8(ascii: "]"))
    }
}

/// ServiceInfos as bytes, made once for each version and shared by all who want the same of it.
final class RenderCache: Sendable {
    private struct Key: Hashable {
        var service: ServiceName
        var selection: ServiceSelection
        var form: ServiceInfoForm
    }

    private struct Entry {
        var version: UInt64
        var protectionThreshold: Double
        var bytes: [UInt8]
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var size = 0
    }

    /// Bytes that are kept; when there would be more, all are let go.
    static let limitBytes = 32 << 20

    private let state = Mutex(State())

    func bytes(
        _ snapshot: ServiceSnapshot, _ selection: ServiceSelection, _ form: ServiceInfoForm, protectionThreshold: Double
    ) -> [UInt8] {
        let key = Key(service: snapshot.service, selection: selection, form: form)
        let known = state.withLock { state in
            state.entries[key].flatMap { entry in
                entry.version == snapshot.version && entry.protectionThreshold == protectionThreshold
                    ? entry.bytes : nil
            }
        }
        if let known { return known }
        let bytes = ServiceInfo.bytes(snapshot, selection, form, protectionThreshold: protectionThreshold)
        state.withLock { state in
            if state.size + bytes.count > Self.limitBytes { state = State() }
            let entry = Entry(version: snapshot.version, protectionThreshold: protectionThreshold, bytes: bytes)
            let previous = state.entries.updateValue(entry, forKey: key)
            state.size += bytes.count - (previous?.bytes.count ?? 0)
        }
        return bytes
    }
}
