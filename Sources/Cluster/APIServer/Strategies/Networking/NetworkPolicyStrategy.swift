// The rules of NetworkPolicies (upstream: pkg/apis/networking/{v1,validation}).

import Formats
import Objects

struct NetworkPolicyStrategy: Strategy {
    var hasGeneration: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in
            for list in ["ingress", "egress"] {
                spec.editEach(list) { rule in rule.editEach("ports") { $0.fill("protocol", "TCP") } }
            }
            let hasEgress = spec["egress"]?.array?.isEmpty == false
            spec.fill("policyTypes", hasEgress ? ["Ingress", "Egress"] : ["Ingress"])
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            findings.labelSelector(spec["podSelector"])
            for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
                for rule in spec[rules].elements {
                    for port in rule["ports"].elements { Self.port(port, &findings) }
                    for peer in rule[peers].elements { Self.peer(peer, &findings) }
                }
            }
            let types = spec["policyTypes"]
            if types.count > 2 { return findings.invalid(types, "may not specify more than two policyTypes") }
            for type in types.elements where !["Egress", "Ingress"].contains(type.text) {
                findings.notSupported(type, ["Egress", "Ingress"])
            }
        }
    }

    private static func port(_ port: Field, _ findings: inout Findings) {
        findings.isOne(of: Findings.protocols, port["protocol"], isRequired: false)
        let (first, last) = (port["port"], port["endPort"])
        if first.exists { findings.portNumberOrName(first) }
        guard last.exists else { return }
        if !first.exists { return findings.required(first, "must be specified when `endPort` is specified") }
        if first.value?.string != nil { findings.invalid(last, "may not be specified when `port` is non-numeric") }
        if last.number < first.number { findings.invalid(last, "must be greater than or equal to `port`") }
        findings.port(last)
    }

    private static func peer(_ peer: Field, _ findings: inout Findings) {
        let selectors = ["podSelector", "namespaceSelector"].filter { peer[$0].exists }
        for selector in selectors { findings.labelSelector(peer[selector]) }
        let block = peer["ipBlock"]
        if selectors.isEmpty, !block.exists { return findings.required(peer, "must specify a peer") }
        guard block.exists else { return }
        if !selectors.isEmpty { findings.forbidden(peer, "may not specify both ipBlock and another peer") }
        if findings.needs(block["cidr"]) { findings.network(block["cidr"]) }
        for except in block["except"].elements { findings.network(except) }
    }
}
