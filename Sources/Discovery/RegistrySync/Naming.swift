// The names that cross between the catalogue and Kubernetes: services, labels, annotations, addresses.

import Catalogue
import Formats
import Objects

/// The labels and annotations that exported objects carry.
package enum ExportMark {
    /// On Services and EndpointSlices that were made here: the world they came from.
    package static let originLabel = "mangrove.dev/origin"
    /// `group@@name` in the writer's words. On a Service of yours it says which catalogue service that is.
    package static let serviceAnnotation = "mangrove.dev/service"
    /// The exported instances in their writers' words, a JSON array; on EndpointSlices.
    package static let instancesAnnotation = "mangrove.dev/instances"
    /// On EndpointSlices made here: which instances go into it, and which of several slices it is.
    static let partAnnotation = "mangrove.dev/part"
    /// On a Service of yours, `true`: registries do not show it, and nothing registered elsewhere joins it.
    package static let hiddenAnnotation = "mangrove.dev/hidden"
    /// On a Service of yours: the group it has in the catalogue, unless `serviceAnnotation` names one.
    package static let groupAnnotation = "mangrove.dev/group"
    /// On a Service of yours: what is spoken at its first port, else that port's `appProtocol` says so.
    package static let protocolAnnotation = "mangrove.dev/protocol"
    /// On a Service of yours: `key=value,key=value`, the metadata that registries show of its instances.
    package static let metadataAnnotation = "mangrove.dev/metadata"
    /// Who manages Services and EndpointSlices that were made here.
    package static let manager = "registry-sync.mangrove.dev"
    package static let serviceManagedBy = "app.kubernetes.io/managed-by"
    package static let sliceManagedBy = "endpointslice.kubernetes.io/managed-by"
    package static let sliceService = "kubernetes.io/service-name"

    /// Whether this Service was made here.
    package static func isOwn(service: Object) -> Bool { service.labels[serviceManagedBy] == manager }
    /// Whether this EndpointSlice was made here.
    package static func isOwn(slice: Object) -> Bool { slice.labels[sliceManagedBy] == manager }

    /// Whether registries leave this Service alone. The API's own Service is one of these, whatever it says.
    package static func isHidden(service: Object) -> Bool {
        service.annotations[hiddenAnnotation] == "true"
            || service.namespace == ServiceName.defaultNamespace && service.name == "kubernetes"
    }
}

extension ServiceName {
    /// The catalogue service that a Kubernetes Service stands for: what its annotation says, else its own name.
    package init(service: Object) {
        let group = service.annotations[ExportMark.groupAnnotation] ?? ""
        self.init(
            namespace: service.namespace, annotation: service.annotations[ExportMark.serviceAnnotation],
            group: group.isEmpty ? Self.defaultGroup : group, else: service.name)
    }

    /// The catalogue service that an exported EndpointSlice belongs to.
    package init(slice: Object) {
        self.init(
            namespace: slice.namespace, annotation: slice.annotations[ExportMark.serviceAnnotation],
            else: slice.labels[ExportMark.sliceService] ?? "")
    }

    private init(
        namespace: String, annotation: String?, group: String = defaultGroup, else name: String
    ) {
        guard let annotation, !annotation.isEmpty else {
            self.init(namespace: namespace, group: group, name: name)
            return
        }
        guard let mark = annotation.firstRange(of: "@@") else {
            self.init(namespace: namespace, group: group, name: annotation)
            return
        }
        self.init(
            namespace: namespace, group: String(annotation[..<mark.lowerBound]),
            name: String(annotation[mark.upperBound...]))
    }

    /// The value of `ExportMark.serviceAnnotation`.
    package var annotation: String { "\(group)@@\(name)" }

    /// The name of the Service that carries this one: its own where DNS allows that, else what is left of it and a
    /// hash.
    ///
    /// `providers:com.acme.Orders:1.0.0:` becomes `providers-com-acme-orders-1-0-0-…`; the same name always
    /// gives the same.
    package var kubernetesName: String {
        if group == Self.defaultGroup, Self.isLabel(name) { return name }
        let longest = NameRules.labelLength - Self.hashDigits - 1
        var plain = CarriedName.plain(name, longest: longest)
        if plain.utf8.first.map({ !(0x61...0x7A).contains($0) }) ?? true {
            plain = CarriedName.plain("s-" + plain, longest: longest)
        }
        return plain + "-" + CarriedName.digits(annotation, Self.hashDigits)
    }

    static let hashDigits = 10

    /// Whether a name can be a Service's (RFC 1035 label).
    static func isLabel(_ name: String) -> Bool { NameRules.fault(name, .label1035) == nil }
}

/// The kind of address that an EndpointSlice can hold.
enum AddressType: String, Hashable {
    case ipv4 = "IPv4"
    case ipv6 = "IPv6"

    /// Nil for host names, and for loopback and unspecified addresses, which mean another host to everybody else.
    init?(_ address: String) {
        let parts = address.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count == 4, parts.allSatisfy({ part in UInt8(part).map { String($0) == part } ?? false }) {
            if parts[0] == "127" || address == "0.0.0.0" { return nil }
            self = .ipv4
        } else if address.contains(":"), address != "::1", address != "::",
            address.utf8.allSatisfy({ ":.".utf8.contains($0) || Character(Unicode.Scalar($0)).isHexDigit })
        {
            self = .ipv6
        } else {
            return nil
        }
    }
}
