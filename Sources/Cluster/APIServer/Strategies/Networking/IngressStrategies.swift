// The rules of Ingresses and IngressClasses (upstream: pkg/apis/networking/validation).

import Formats
import Objects

struct IngressStrategy: Strategy {
    private static let classAnnotation = "kubernetes.io/ingress.class"

    var hasStatus: Bool { true }
    var hasGeneration: Bool { true }

    func prepareForCreate(_ object: inout Object) { object.status = ["loadBalancer": [:]] }

    func creationFaults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let given = root["metadata"]["annotations"][Self.classAnnotation]
            let name = root["spec"]["ingressClassName"]
            guard given.exists, name.exists, given.text != name.text else { return }
            let place = Field(path: .entry(root["metadata"]["annotations"].path, Self.classAnnotation), given.value)
            findings.invalid(place, "must match `ingressClassName` when both are specified")
        }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let spec = root["spec"]
            if spec["rules"].isEmpty, !spec["defaultBackend"].exists {
                let why = "either `defaultBackend` or `rules` must be specified"
                findings.invalid(spec, value: spec["rules"].value ?? [], why)
            }
            if spec["defaultBackend"].exists { Self.backend(spec["defaultBackend"], &findings) }
            for rule in spec["rules"].elements { Self.rule(rule, &findings) }
            for entry in spec["tls"].elements {
                for host in entry["hosts"].elements { Self.host(host, &findings) }
                findings.optionalName(entry["secretName"], .subdomain)
            }
            if spec["ingressClassName"].exists { findings.name(spec["ingressClassName"], .subdomain) }
        }
    }

    func warnings(for object: Object, from old: Object?) -> [String] {
        guard old == nil, object.annotations[Self.classAnnotation] != nil else { return [] }
        return ["annotation \"\(Self.classAnnotation)\" is deprecated, please use 'spec.ingressClassName' instead"]
    }

    private static func rule(_ rule: Field, _ findings: inout Findings) {
        if !rule["host"].isEmpty {
            if AddressRules.isAddress(rule["host"].text) {
                findings.invalid(rule["host"], "must be a DNS name, not an IP address")
            } else {
                host(rule["host"], &findings)
            }
        }
        guard rule["http"].exists, findings.needs(rule["http"]["paths"]) else { return }
        for path in rule["http"]["paths"].elements { self.path(path, &findings) }
    }

    private static func host(_ host: Field, _ findings: inout Findings) {
        guard host.text.contains("*") else { return findings.name(host, .subdomain) }
        if !host.text.hasPrefix("*.") || !NameRules.messages(String(host.text.dropFirst(2)), .subdomain).isEmpty {
            findings.invalid(
                host,
                "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must "
                    + "consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character "
                    + "(e.g. '*.example.com', regex used for validation is "
                    + "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')")
        }
    }

    private static func path(_ field: Field, _ findings: inout Findings) {
        let path = field["path"]
        switch field["pathType"].text {
        case "" where !field["pathType"].exists: findings.required(field["pathType"], "pathType must be specified")
        case "Exact", "Prefix":
            if !path.text.hasPrefix("/") {
                findings.invalid(path, value: .string(path.text), "must be an absolute path")
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] where path.text.contains(part) {
                findings.invalid(path, "must not contain '\(part)'")
            }
            for end in ["/..", "/."] where path.text.hasSuffix(end) {
                findings.invalid(path, "cannot end with '\(end)'")
            }
        case "ImplementationSpecific":
            if !path.isEmpty, !path.text.hasPrefix("/") { findings.invalid(path, "must be an absolute path") }
        default: findings.notSupported(field["pathType"], ["Exact", "ImplementationSpecific", "Prefix"])
        }
        backend(field["backend"], &findings)
    }

    private static func backend(_ field: Field, _ findings: inout Findings) {
        let (resource, service) = (field["resource"], field["service"])
        switch (resource.exists, service.exists) {
        case (true, true): findings.invalid(field, value: "", "cannot set both resource and service backends")
        case (false, false): findings.invalid(field, value: "", "resource or service backend is required")
        case (true, false):
            if resource["apiGroup"].exists { findings.name(resource["apiGroup"], .subdomain) }
            for part in ["kind", "name"] where findings.needs(resource[part]) {
                findings.name(resource[part], .pathSegment)
            }
        case (false, true):
            if findings.needs(service["name"]) { findings.name(service["name"], .label1035) }
            let port = service["port"]
            switch (!port["name"].isEmpty, port["number"].number != 0) {
            case (true, true): findings.invalid(field, value: "", "cannot set both port name & port number")
            case (true, false): findings.text(port["name"], NameRules.portNameMessages(port["name"].text))
            case (false, true): findings.port(port["number"])
            case (false, false): findings.required(field, "port name or number is required")
            }
        }
    }
}

struct IngressClassStrategy: Strategy {
    static let controllerLength = 250

    var hasGeneration: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("spec") { spec in spec.edit("parameters") { $0.fill("scope", "Cluster") } }
    }

    func faults(in object: Object) -> [FieldFault] {
        Findings.of(object) { root, findings in
            let controller = root["spec"]["controller"]
            if findings.needs(controller) {
                if controller.text.utf8.count > Self.controllerLength {
                    findings.tooLong(controller, bytes: Self.controllerLength)
                }
                findings.domainPrefixedPath(controller)
            }
            let parameters = root["spec"]["parameters"]
            guard parameters.exists else { return }
            for part in ["kind", "name"] where findings.needs(parameters[part]) {
                findings.name(parameters[part], .pathSegment)
            }
            let isNamespaced = parameters["scope"].text == "Namespace"
            if !isNamespaced, parameters["scope"].text != "Cluster" {
                findings.notSupported(parameters["scope"], ["Cluster", "Namespace"])
            }
            if isNamespaced {
                findings.needs(parameters["namespace"], "`parameters.scope` is set to 'Namespace'")
            } else {
                findings.forbids(parameters["namespace"], "`parameters.scope` is set to 'Cluster'")
            }
        }
    }

    func faults(in object: Object, from old: Object) -> [FieldFault] {
        Findings.of(object) { $1.isUnchanged($0["spec"]["controller"], from: Field(old)["spec"]["controller"]) }
    }
}
