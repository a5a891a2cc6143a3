// Validation of Services (upstream: pkg/apis/core/validation, ValidateService).

import Formats
import Objects

extension Findings {
    private static let affinitySeconds = 86400

    mutating func service(_ root: Field) {
        let spec = root["spec"]
        let type = spec["type"].text
        let isHeadless = spec["clusterIPs"].elements.first?.text == "None" || spec["clusterIP"].text == "None"
        if spec["ports"].isEmpty, !isHeadless, type != "ExternalName" { required(spec["ports"]) }
        if isHeadless, type == "LoadBalancer" || type == "NodePort" {
            let place = Field(path: .element(spec["clusterIPs"].path, 0), "None")
            invalid(place, "may not be set to 'None' for \(type) services")
        }
        if type == "ExternalName" { externalName(spec) }
        var names: Set<String> = []
        for port in spec["ports"].elements { servicePort(port, needsName: spec["ports"].count > 1, &names) }
        labels(spec["selector"])
        sessionAffinity(spec)
        if type != "ExternalName" { clusterAddresses(spec) }
        for external in spec["externalIPs"].elements {
            if !AddressRules.isAddress(external.text) {
                address(external)
            } else if let why = AddressRules.specialFault(external.text) {
                invalid(external, why)
            }
        }
        isOne(of: ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], spec["type"])
        portConflicts(spec, type: type)
        loadBalancer(root, type: type)
        trafficPolicies(spec, type: type)
    }

    private mutating func externalName(_ spec: Field) {
        for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            forbids(spec[field], "may not be set for ExternalName services")
        }
        let name = spec["externalName"].text
        let plain = name.hasSuffix(".") ? String(name.dropLast()) : name
        if plain.isEmpty { return required(spec["externalName"]) }
        for message in NameRules.messages(plain, .subdomain) {
            invalid(spec["externalName"], value: .string(plain), message)
        }
    }

    private mutating func servicePort(_ port: Field, needsName: Bool, _ names: inout Set<String>) {
        let name = port["name"]
        if name.isEmpty {
            if needsName { required(name) }
        } else {
            self.name(name, .label)
            isNew(name, in: &names)
        }
        isWithin(port["port"], 1...65535)
        isOne(of: Self.protocols, port["protocol"])
        portNumberOrName(port["targetPort"])
        if port["appProtocol"].exists { qualifiedName(port["appProtocol"]) }
    }

    private mutating func sessionAffinity(_ spec: Field) {
        isOne(of: ["ClientIP", "None"], spec["sessionAffinity"])
        let config = spec["sessionAffinityConfig"]
        if spec["sessionAffinity"].text == "None", config.exists {
            forbidden(config, "must not be set when session affinity is None")
        }
        guard spec["sessionAffinity"].text == "ClientIP" else { return }
        let timeout = config["clientIP"]["timeoutSeconds"]
        for field in [config, config["clientIP"], timeout] where !field.exists {
            return required(field, "when session affinity type is ClientIP")
        }
        if !(1...Self.affinitySeconds).contains(timeout.number) {
            invalid(timeout, "must be greater than 0 and less than \(Self.affinitySeconds)")
        }
    }

    private mutating func clusterAddresses(_ spec: Field) {
        let all = spec["clusterIPs"]
        if let first = spec["clusterIP"].value?.string, !first.isEmpty {
            if let given = all.elements.first, given.text != first {
                invalid(all, "first value must match `clusterIP`")
            }
        } else if !all.isEmpty {
            invalid(all, "must be empty when `clusterIP` is not specified")
        }
        var families: Set<String> = []
        for family in spec["ipFamilies"].elements {
            if !["IPv4", "IPv6"].contains(family.text) { notSupported(family, ["IPv4", "IPv6"]) }
            isNew(family, in: &families)
        }
        isOne(of: ["PreferDualStack", "RequireDualStack", "SingleStack"], spec["ipFamilyPolicy"], isRequired: false)
        for (position, one) in all.elements.enumerated() {
            if position == 0, one.text == "None" {
                if all.count > 1 { invalid(all, "'None' must be the first and only value") }
            } else {
                address(one)
            }
        }
        if all.count > 2 { invalid(all, "may only hold up to 2 values") }
    }

    private mutating func portConflicts(_ spec: Field, type: String) {
        var nodePorts: Set<String> = []
        var ports: Set<String> = []
        if type == "ClusterIP" {
            for port in spec["ports"].elements where port["nodePort"].number != 0 {
                forbidden(port["nodePort"], "may not be used when `type` is 'ClusterIP'")
            }
        }
        for port in spec["ports"].elements where port["nodePort"].number != 0 {
            if !nodePorts.insert("\(port["protocol"].text)/\(port["nodePort"].number)").inserted {
                duplicate(port["nodePort"])
            }
        }
        for port in spec["ports"].elements {
            if !ports.insert("\(port["protocol"].text)/\(port["port"].number)").inserted {
                duplicate(port, value: ["port": JSON(port["port"].number), "protocol": .string(port["protocol"].text)])
            }
        }
    }

    private mutating func loadBalancer(_ root: Field, type: String) {
        let spec = root["spec"]
        let only = "may only be used when `type` is 'LoadBalancer'"
        let ranges = spec["LoadBalancerSourceRanges"]
        if !spec["loadBalancerSourceRanges"].isEmpty {
            if type != "LoadBalancer" { forbidden(ranges, only) }
            for (position, range) in spec["loadBalancerSourceRanges"].elements.enumerated() {
                let text = range.text.split(whereSeparator: \.isWhitespace).joined()
                network(Field(path: .element(ranges.path, position), nil), value: text)
            }
        }
        if type != "LoadBalancer" {
            for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] where spec[field].exists {
                forbidden(spec[field], only)
            }
        } else {
            if spec["loadBalancerClass"].exists { qualifiedName(spec["loadBalancerClass"]) }
        }
    }

    private mutating func trafficPolicies(_ spec: Field, type: String) {
        let external = spec["externalTrafficPolicy"]
        if ServiceStrategy.isReachableFromOutside(spec.value ?? [:]) {
            isOne(of: ["Cluster", "Local"], external)
        } else if !external.isEmpty {
            invalid(external, "may only be set for externally-accessible services")
        }
        let check = spec["healthCheckNodePort"]
        if check.number != 0, type != "LoadBalancer" || external.text != "Local" {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
            invalid(check, why)
        }
        if type != "ExternalName" || spec["internalTrafficPolicy"].exists {
            isOne(of: ["Cluster", "Local"], spec["internalTrafficPolicy"])
        }
        if spec["trafficDistribution"].exists {
            isOne(of: ["PreferClose", "PreferSameNode", "PreferSameZone"], spec["trafficDistribution"])
        }
    }

    mutating func serviceUpdate(_ spec: Field, from old: Field) {
        if spec["type"].text == "ExternalName" || old["type"].text == "ExternalName" { return }
        let before = old["clusterIP"].text
        if !before.isEmpty, spec["clusterIP"].text != before {
            let place = Field(path: .element(spec["clusterIPs"].path, 0), [.string(spec["clusterIP"].text)])
            invalid(place, "may not change once set")
        }
        let family = old["ipFamilies"].elements.first
        if let family, let now = spec["ipFamilies"].elements.first, now.text != family.text {
            invalid(now, value: spec["ipFamilies"].value, "may not change once set")
        }
        let (balancer, former) = (spec["loadBalancerClass"], old["loadBalancerClass"])
        if spec["type"].text == "LoadBalancer", old["type"].text == "LoadBalancer", balancer.value != former.value {
            invalid(balancer, "may not change once set")
        }
    }
}
