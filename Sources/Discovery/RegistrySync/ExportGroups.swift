// Which instances go into which exported EndpointSlice.

import Catalogue
import Formats
import Objects

extension ExportMachine {
    /// What goes into one slice.
    struct Group {
        var key: GroupKey
        /// Counts the slices of one key.
        var part: Int
        var instances: [Instance]
        /// The instances in their writers' words. Nil when they alone are more than an annotation takes.
        var raw: String?

        /// The end of the slice's name.
        var suffix: String { key.suffix + (part == 0 ? "" : "-\(part)") }
    }

    struct GroupKey: Hashable {
        var origin: Origin
        /// Nil for addresses that no slice can carry: such a slice only keeps the instances' words.
        var type: AddressType?
        var port: Int
        var isUDP: Bool
        /// Named ports beside the first.
        var further: [String: Int]

        init(_ instance: Instance) {
            origin = instance.origin
            isUDP = instance.protocolName == "udp"
            type = (1...65_535).contains(instance.port) ? AddressType(instance.address) : nil
            port = type == nil ? 0 : instance.port
            // Only names that a Service's port can have (RFC 1035 labels).
            let others = instance.ports.filter { name, number in
                number != instance.port && (1...65_535).contains(number) && ServiceName.isLabel(name)
            }
            further = type == nil ? [:] : others
        }

        var suffix: String {
            guard let type else { return "\(origin.rawValue)-local" }
            let family = type == .ipv6 ? "-ipv6" : ""
            let carrier = isUDP ? "-udp" : ""
            let names = further.keys.sorted().map { "\($0)=\(further[$0] ?? 0)" }.joined(separator: ",")
            let others = further.isEmpty ? "" : "-and-" + CarriedName.digits(names, ServiceName.hashDigits)
            return "\(origin.rawValue)\(family)\(carrier)-\(port)\(others)"
        }
    }

    /// Sorts instances into slices. An instance that is in a slice already stays there, so that one that comes or goes
    /// changes one slice.
    static func groups(of instances: [Instance], in slices: [Object]) -> [Group] {
        var members: [GroupKey: [Instance]] = [:]
        for instance in instances { members[GroupKey(instance), default: []].append(instance) }
        let known = parts(slices)
        return members.keys.sorted { $0.suffix < $1.suffix }.flatMap { key in
            split(members[key] ?? [], key, known)
        }
    }

    /// The part of its key's slices that each instance is in, by the key's suffix, address and cluster.
    private static func parts(_ slices: [Object]) -> [String: Int] {
        var parts: [String: Int] = [:]
        for slice in slices {
            let words = (slice.annotations[ExportMark.partAnnotation] ?? "").split(separator: "/")
            guard words.count == 2, let number = Int(words[1]), number >= 0 else { continue }
            for instance in RawInstance.all(in: slice) { parts["\(words[0]) \(place(instance))"] = number }
        }
        return parts
    }

    private static func place(_ instance: Instance) -> String {
        "\(instance.address) \(instance.port) \(instance.cluster)"
    }

    private static func split(_ instances: [Instance], _ key: GroupKey, _ known: [String: Int]) -> [Group] {
        var room: [Int: (count: Int, bytes: Int)] = [:]
        var placed: [Int: [Instance]] = [:]
        func fits(_ bytes: Int, _ part: Int) -> Bool {
            let used = room[part] ?? (0, 0)
            return used.count < endpointLimit && (used.count == 0 || used.bytes + bytes <= annotationLimitBytes)
        }
        func put(_ instance: Instance, _ bytes: Int, _ part: Int) {
            let used = room[part] ?? (0, 0)
            room[part] = (used.count + 1, used.bytes + bytes)
            placed[part, default: []].append(instance)
        }
        let sized = instances.map { ($0, RawInstance.tree($0).bytes.count + 1) }
        var homeless: [(Instance, Int)] = []
        for (instance, bytes) in sized {
            if let part = known["\(key.suffix) \(place(instance))"], fits(bytes, part) {
                put(instance, bytes, part)
            } else {
                homeless.append((instance, bytes))
            }
        }
        var part = 0
        for (instance, bytes) in homeless {
            while !fits(bytes, part) { part += 1 }
            put(instance, bytes, part)
        }
        return placed.keys.sorted().map { part in
            let members = (placed[part] ?? []).sorted {
                ($0.address, $0.port, $0.cluster) < ($1.address, $1.port, $1.cluster)
            }
            let raw = JSON.array(members.map(RawInstance.tree)).text
            return Group(
                key: key, part: part, instances: members, raw: raw.utf8.count <= annotationLimitBytes + 2 ? raw : nil)
        }
    }
}
