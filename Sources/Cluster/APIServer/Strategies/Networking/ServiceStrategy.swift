// The rules of Services (upstream: pkg/apis/core/v1/defaults.go, pkg/registry/core/service).

import Formats
import Objects

struct ServiceStrategy: Strategy {
    static let types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]

    var nameRule: NameRules.Rule { .label1035 }
    var hasStatus: Bool { true }
    var returnsDeleted: Bool { true }
    var selectableFields: [String] { ["spec.clusterIP", "spec.type"] }

    func setDefaults(_ object: inout Object) {
        object.tree.fill("spec", [:])
        object.tree.edit("spec") { spec in
            spec.fill("type", "ClusterIP")
            spec.fill("sessionAffinity", "None")
            if spec["sessionAffinity"] == "ClientIP" {
                spec.fill("sessionAffinityConfig", ["clientIP": ["timeoutSeconds": 10800]])
            }
            spec.editEach("ports") { port in
                port.fill("protocol", "TCP")
                if port["targetPort"] == nil || port["targetPort"] == 0 || port["targetPort"] == "" {
                    port["targetPort"] = port["port"]
                }
            }
            if spec["type"] == "ExternalName" { return }
            spec.fill("internalTrafficPolicy", "Cluster")
            spec.fill("ipFamilies", ["IPv4"])
            spec.fill("ipFamilyPolicy", "SingleStack")
            if ServiceStrategy.isReachableFromOutside(spec) { spec.fill("externalTrafficPolicy", "Cluster") }
            if spec["type"] == "LoadBalancer" { spec.fill("allocateLoadBalancerNodePorts", true) }
        }
    }

    func prepareForCreate(_ object: inout Object) { object.status = ["loadBalancer": [:]] }

    /// Addresses and ports that the writer left out stay as they were allocated (upstream: patchAllocatedValues).
    func prepareForUpdate(_ object: inout Object, from old: Object) {
        let old = old.spec
        object.tree.edit("spec") { spec in
            ServiceStrategy.dropWhatTheTypeChangeEnds(&spec, from: old)
            guard spec["type"] != "ExternalName", old["type"] != "ExternalName" else {
                if spec["type"] == "ExternalName" { ServiceStrategy.dropAddresses(&spec) }
                return
            }
            if (spec["clusterIP"]?.string ?? "").isEmpty {
                spec["clusterIP"] = old["clusterIP"]
                if (spec["clusterIPs"]?.array ?? []).isEmpty { spec["clusterIPs"] = old["clusterIPs"] }
            }
            guard ServiceStrategy.hasNodePorts(spec) else {
                spec.editEach("ports") { $0["nodePort"] = nil }
                return
            }
            let allocated = old["ports"]?.array ?? []
            spec.editEach("ports") { port in
                guard (port["nodePort"]?.integer ?? 0) == 0 else { return }
                let same = allocated.first {
                    $0["port"] == port["port"] && $0["protocol"] == port["protocol"] && $0["nodePort"] != nil
                }
                port["nodePort"] = same?["nodePort"]
            }
        }
    }

    static func isReachableFromOutside(_ spec: JSON) -> Bool {
        hasNodePorts(spec) || spec["type"] == "ClusterIP" && spec["externalIPs"]?.array?.isEmpty == false
    }

    static func hasNodePorts(_ spec: JSON) -> Bool { spec["type"] == "NodePort" || spec["type"] == "LoadBalancer" }

    /// Fields that a former type needed go where the writer only changed the type (upstream: dropTypeDependentFields).
    private static func dropWhatTheTypeChangeEnds(_ spec: inout JSON, from old: JSON) {
        let outside = "externalTrafficPolicy"
        if isReachableFromOutside(old), !isReachableFromOutside(spec), spec[outside] == old[outside] {
            spec[outside] = nil
        }
        if old["type"] == "LoadBalancer", spec["type"] != "LoadBalancer" {
            for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] where spec[field] == old[field] {
                spec[field] = nil
            }
        }
        if old["sessionAffinity"] == "ClientIP", spec["sessionAffinity"] != "ClientIP",
            spec["sessionAffinityConfig"] == old["sessionAffinityConfig"]
        {
            spec["sessionAffinityConfig"] = nil
        }
    }

    private static func dropAddresses(_ spec: inout JSON) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            spec[field] = nil
        }
        spec.editEach("ports") { $0["nodePort"] = nil }
    }

    func faults(in object: Object) -> [FieldFault] { Findings.of(object) { $1.service($0) } }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { $1.serviceUpdate($0["spec"], from: Field(old)["spec"]) }
    }

    func warnings(for object: Object, from old: Object?) -> [String] {
        var warnings: [String] = []
        let spec = Field(object)["spec"]
        if spec["loadBalancerIP"].text != (old?["spec", "loadBalancerIP"]?.string ?? "") {
            warnings.append("spec.loadBalancerIP: deprecated since v1.24")
        }
        if !spec["externalIPs"].isEmpty, spec["type"].text == "ExternalName" {
            warnings.append("spec.externalIPs is ignored when spec.type is \"ExternalName\"")
        }
        if spec["clusterIP"].text == "None", spec["sessionAffinity"].text == "ClientIP" {
            warnings.append("spec.SessionAffinity is ignored for headless services")
        }
        return warnings
    }
}
