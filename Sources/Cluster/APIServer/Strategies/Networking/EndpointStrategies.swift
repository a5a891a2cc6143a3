// The rules of EndpointSlices and Endpoints (upstream: pkg/apis/discovery, pkg/apis/core/validation).

import Formats
import Objects

struct EndpointSliceStrategy: Strategy {
    static let addressTypes = ["FQDN", "IPv4", "IPv6"]
    static let endpointLimit = 1000
    static let addressLimit = 100
    static let portLimit = 20000
    static let zoneLimit = 8

    var hasGeneration: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.editEach("ports") { port in
            port.fill("name", "")
            port.fill("protocol", "TCP")
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            findings.isOne(of: Self.addressTypes, root["addressType"])
            Self.endpoints(root, &findings, isOwn: EndpointAddresses.areOfTheAPI(object))
            Self.ports(root["ports"], &findings)
        }
    }

    private static func endpoints(_ root: Field, _ findings: inout Findings, isOwn: Bool) {
        let list = root["endpoints"]
        if list.count > endpointLimit { return findings.tooMany(list, limit: endpointLimit) }
        for endpoint in list.elements {
            let addresses = endpoint["addresses"]
            if addresses.isEmpty { findings.required(addresses, "must contain at least 1 address") }
            if addresses.count > addressLimit { findings.tooMany(addresses, limit: addressLimit) }
            for address in addresses.elements {
                check(address, type: root["addressType"].text, &findings, isOwn: isOwn)
            }
            findings.optionalName(endpoint["nodeName"], .subdomain)
            let zones = endpoint["hints"]["forZones"]
            if zones.count > zoneLimit { findings.tooMany(zones, limit: zoneLimit) }
            var seen: Set<String> = []
            for zone in zones.elements where !seen.insert(zone["name"].text).inserted { findings.duplicate(zone) }
            findings.optionalName(endpoint["hostname"], .label)
        }
    }

    private static func check(_ address: Field, type: String, _ findings: inout Findings, isOwn: Bool) {
        switch type {
        case "IPv4", "IPv6":
            let isRight = type == "IPv4" ? AddressRules.isVersion4(address.text) : AddressRules.isVersion6(address.text)
            if !isRight {
                findings.invalid(address, "must be a valid \(type) address")
            } else if !isOwn, let why = AddressRules.specialFault(address.text) {
                findings.invalid(address, why)
            }
        case "FQDN":
            findings.name(address, .subdomain)
            if !address.text.contains(".") {
                findings.invalid(address, "should be a domain with at least two segments separated by dots")
            }
        default: return
        }
    }

    private static func ports(_ list: Field, _ findings: inout Findings) {
        if list.count > portLimit { return findings.tooMany(list, limit: portLimit) }
        var names: Set<String> = []
        for port in list.elements {
            let name = port["name"]
            if !findings.isNew(name, in: &names) { continue }
            findings.optionalName(name, .label)
            findings.isOne(of: Findings.protocols, port["protocol"])
            if port["port"].exists { findings.port(port["port"]) }
            if port["appProtocol"].exists { findings.qualifiedName(port["appProtocol"]) }
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { $1.isUnchanged($0["addressType"], from: Field(old)["addressType"]) }
    }
}

/// Which endpoints may be at special addresses.
enum EndpointAddresses {
    /// The API's own: on a machine with no other address it is reached at the loopback one.
    static func areOfTheAPI(_ object: Object) -> Bool { object.namespace == "default" && object.name == "kubernetes" }
}

struct EndpointsStrategy: Strategy {
    static let deprecation = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"

    func setDefaults(_ object: inout Object) {
        object.tree.editEach("subsets") { subset in subset.editEach("ports") { $0.fill("protocol", "TCP") } }
    }

    func warnings(for object: Object, from old: Object?) -> [String] { [Self.deprecation] }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            for subset in root["subsets"].elements {
                if subset["addresses"].isEmpty, subset["notReadyAddresses"].isEmpty {
                    findings.required(subset, "must specify `addresses` or `notReadyAddresses`")
                }
                for list in ["addresses", "notReadyAddresses"] {
                    for address in subset[list].elements {
                        Self.check(address, &findings, isOwn: EndpointAddresses.areOfTheAPI(object))
                    }
                }
                for port in subset["ports"].elements {
                    Self.check(port, needsName: subset["ports"].count > 1, &findings)
                }
            }
        }
    }

    private static func check(_ address: Field, _ findings: inout Findings, isOwn: Bool) {
        findings.address(address["ip"])
        findings.optionalName(address["hostname"], .label)
        findings.optionalName(address["nodeName"], .subdomain)
        if !isOwn, AddressRules.isAddress(address["ip"].text), let why = AddressRules.specialFault(address["ip"].text) {
            findings.invalid(address["ip"], why)
        }
    }

    private static func check(_ port: Field, needsName: Bool, _ findings: inout Findings) {
        if needsName, port["name"].isEmpty { findings.required(port["name"]) }
        findings.optionalName(port["name"], .label)
        findings.isWithin(port["port"], 1...65535)
        findings.isOne(of: Findings.protocols, port["protocol"])
        if port["appProtocol"].exists { findings.qualifiedName(port["appProtocol"]) }
    }
}
