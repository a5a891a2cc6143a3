// Validation of pods and pod templates: the part of upstream's pkg/apis/core/validation that the node relies on.

import Formats

enum PodValidation {
    static let restartPolicies = ["Always", "Never", "OnFailure"]
    static let protocols = ["SCTP", "TCP", "UDP"]

    static func faults(inSpec spec: JSON, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        let volumes = volumeNames(spec, at: path, &faults)
        var names: Set<String> = []
        for (position, container) in (spec["initContainers"]?.array ?? []).enumerated() {
            let here = "\(path).initContainers[\(position)]"
            faults += containerFaults(container, at: here, volumes: volumes, names: &names)
        }
        let containers = spec["containers"]?.array ?? []
        if containers.isEmpty { faults.append(.required("\(path).containers")) }
        for (position, container) in containers.enumerated() {
            let here = "\(path).containers[\(position)]"
            faults += containerFaults(container, at: here, volumes: volumes, names: &names)
        }
        if let policy = spec["restartPolicy"], !restartPolicies.contains(policy.string ?? "") {
            faults.append(.notSupported("\(path).restartPolicy", policy, restartPolicies))
        }
        if let seconds = spec["terminationGracePeriodSeconds"], (seconds.integer ?? -1) < 0 {
            faults.append(
                .invalid("\(path).terminationGracePeriodSeconds", seconds, "must be greater than or equal to 0"))
        }
        for field in ["hostname", "subdomain"] {
            if let name = spec[field]?.string, !name.isEmpty, let fault = NameRules.fault(name, .label) {
                faults.append(.invalid("\(path).\(field)", .string(name), fault))
            }
        }
        return faults
    }

    private static func volumeNames(_ spec: JSON, at path: String, _ faults: inout [FieldFault]) -> Set<String> {
        var names: Set<String> = []
        for (position, volume) in (spec["volumes"]?.array ?? []).enumerated() {
            let here = "\(path).volumes[\(position)].name"
            let name = volume["name"]?.string ?? ""
            if name.isEmpty {
                faults.append(.required(here))
            } else if let fault = NameRules.fault(name, .label) {
                faults.append(.invalid(here, .string(name), fault))
            } else if !names.insert(name).inserted {
                faults.append(.duplicate(here, .string(name)))
            }
        }
        return names
    }

    private static func containerFaults(
        _ container: JSON, at path: String, volumes: Set<String>, names: inout Set<String>
    ) -> [FieldFault] {
        var faults: [FieldFault] = []
        let name = container["name"]?.string ?? ""
        if name.isEmpty {
            faults.append(.required("\(path).name"))
        } else if let fault = NameRules.fault(name, .label) {
            faults.append(.invalid("\(path).name", .string(name), fault))
        } else if !names.insert(name).inserted {
            faults.append(.duplicate("\(path).name", .string(name)))
        }
        if (container["image"]?.string ?? "").isEmpty { faults.append(.required("\(path).image")) }
        faults += portFaults(container, at: path)
        for (position, variable) in (container["env"]?.array ?? []).enumerated() {
            let here = "\(path).env[\(position)]"
            if (variable["name"]?.string ?? "").isEmpty { faults.append(.required("\(here).name")) }
            if variable["valueFrom"] != nil, variable["value"]?.string?.isEmpty == false {
                faults.append(.invalid("\(here).valueFrom", "", "may not be specified when `value` is not empty"))
            }
        }
        for (position, mount) in (container["volumeMounts"]?.array ?? []).enumerated() {
            let here = "\(path).volumeMounts[\(position)]"
            let volume = mount["name"]?.string ?? ""
            if volume.isEmpty {
                faults.append(.required("\(here).name"))
            } else if !volumes.contains(volume) {
                faults.append(.notFound("\(here).name", .string(volume)))
            }
            if (mount["mountPath"]?.string ?? "").isEmpty { faults.append(.required("\(here).mountPath")) }
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            if let tree = container[probe] { faults += probeFaults(tree, name: probe, at: "\(path).\(probe)") }
        }
        return faults
    }

    private static func portFaults(_ container: JSON, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        var names: Set<String> = []
        for (position, port) in (container["ports"]?.array ?? []).enumerated() {
            let here = "\(path).ports[\(position)]"
            if let name = port["name"]?.string, !name.isEmpty, !names.insert(name).inserted {
                faults.append(.duplicate("\(here).name", .string(name)))
            }
            if let number = port["containerPort"] {
                if !isPort(number) { faults.append(.invalid("\(here).containerPort", number, portRange)) }
            } else {
                faults.append(.required("\(here).containerPort"))
            }
            if let transport = port["protocol"], !protocols.contains(transport.string ?? "") {
                faults.append(.notSupported("\(here).protocol", transport, protocols))
            }
        }
        return faults
    }

    private static func probeFaults(_ probe: JSON, name: String, at path: String) -> [FieldFault] {
        var faults: [FieldFault] = []
        let handlers = ["exec", "httpGet", "tcpSocket", "grpc"].filter { probe[$0] != nil }
        if handlers.isEmpty { faults.append(.required(path, "must specify a handler type")) }
        for handler in handlers.dropFirst() {
            faults.append(.forbidden("\(path).\(handler)", "may not specify more than 1 handler type"))
        }
        for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            if let value = probe[field], (value.integer ?? -1) < 0 {
                faults.append(.invalid("\(path).\(field)", value, "must be greater than or equal to 0"))
            }
        }
        if name != "readinessProbe", let count = probe["successThreshold"], count.integer != 1 {
            faults.append(.invalid("\(path).successThreshold", count, "must be 1"))
        }
        return faults
    }

    static let portRange = "must be between 1 and 65535, inclusive"
    static func isPort(_ value: JSON) -> Bool { value.integer.map { $0 >= 1 && $0 <= 65535 } ?? false }
}
