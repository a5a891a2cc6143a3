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
            } else {
                spec["sessionAffinityConfig"] = nil
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
            if ServiceStrategy.hasNodePorts(spec) {
                spec.fill("externalTrafficPolicy", "Cluster")
            } else {
                spec["externalTrafficPolicy"] = nil
            }
            if spec["type"] == "LoadBalancer" { spec.fill("allocateLoadBalancerNodePorts", true) }
        }
    }

    func prepareForCreate(_ object: inout Object) { object.status = ["loadBalancer": [:]] }

    /// Addresses and ports that the writer left out stay as they were allocated (upstream: patchAllocatedValues).
    func prepareForUpdate(_ object: inout Object, from old: Object) {
        let old = old.spec
        object.tree.edit("spec") { spec in
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

    static func hasNodePorts(_ spec: JSON) -> Bool { spec["type"] == "NodePort" || spec["type"] == "LoadBalancer" }

    private static func dropAddresses(_ spec: inout JSON) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            spec[field] = nil
        }
        spec.editEach("ports") { $0["nodePort"] = nil }
    }

    func faults(in object: Object) -> [FieldFault] {
        let spec = object.spec
        guard let type = spec["type"]?.string, ServiceStrategy.types.contains(type) else {
            return [.notSupported("spec.type", spec["type"], ServiceStrategy.types)]
        }
        var faults: [FieldFault] = []
        let isHeadless = spec["clusterIP"] == "None"
        if isHeadless, ServiceStrategy.hasNodePorts(spec) {
            faults.append(.invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for \(type) services"))
        }
        if type == "ExternalName" {
            if (spec["externalName"]?.string ?? "").isEmpty { faults.append(.required("spec.externalName")) }
        } else if !isHeadless, (spec["ports"]?.array ?? []).isEmpty {
            faults.append(.required("spec.ports"))
        }
        if let affinity = spec["sessionAffinity"], affinity != "None", affinity != "ClientIP" {
            faults.append(.notSupported("spec.sessionAffinity", affinity, ["ClientIP", "None"]))
        }
        faults += NameRules.labelFaults(spec["selector"], at: "spec.selector")
        return faults + ServiceStrategy.portFaults(spec["ports"]?.array ?? [])
    }

    private static func portFaults(_ ports: [JSON]) -> [FieldFault] {
        var faults: [FieldFault] = []
        var names: Set<String> = []
        var numbers: Set<String> = []
        for (position, port) in ports.enumerated() {
            let path = "spec.ports[\(position)]"
            let name = port["name"]?.string ?? ""
            if name.isEmpty {
                if ports.count > 1 { faults.append(.required("\(path).name")) }
            } else if let fault = NameRules.fault(name, .label) {
                faults.append(.invalid("\(path).name", .string(name), fault))
            } else if !names.insert(name).inserted {
                faults.append(.duplicate("\(path).name", .string(name)))
            }
            let number = port["port"] ?? 0
            if !PodValidation.isPort(number) {
                faults.append(.invalid("\(path).port", number, PodValidation.portRange))
            }
            if let transport = port["protocol"], !PodValidation.protocols.contains(transport.string ?? "") {
                faults.append(.notSupported("\(path).protocol", transport, PodValidation.protocols))
            }
            if let target = port["targetPort"], target.string == nil, !PodValidation.isPort(target) {
                faults.append(.invalid("\(path).targetPort", target, PodValidation.portRange))
            }
            if !numbers.insert("\(number.text)/\(port["protocol"]?.string ?? "")").inserted {
                var pair: JSON = ["port": number]
                pair["protocol"] = port["protocol"]
                faults.append(.duplicate(path, pair))
            }
        }
        return faults
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        let before = old["spec", "clusterIP"]?.string ?? ""
        let isExternal = object["spec", "type"] == "ExternalName" || old["spec", "type"] == "ExternalName"
        if before.isEmpty || isExternal || object["spec", "clusterIP"]?.string == before { return [] }
        let value = "[\(object["spec", "clusterIP"]?.text ?? "\"\"")]"
        return [
            FieldFault(
                kind: .invalid, path: "spec.clusterIPs[0]",
                message: "Invalid value: \(value): may not change once set")
        ]
    }
}
