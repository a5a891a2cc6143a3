// Validation of pod specs, in pods and in templates (upstream: pkg/apis/core/validation, ValidatePodSpec).

import Formats
import Objects

/// What the checks of one spec need to know of each other.
struct PodSpecContext {
    /// Whether this is a pod, rather than a template of one.
    var isPod: Bool
    /// Volumes that are valid, by name.
    var volumes: [String: Field] = [:]
    var claimNames: Set<String> = []
    var gracePeriodSeconds: Int?
    var restartPolicy = ""
}

extension Findings {
    static let largestDeadlineSeconds = 2_147_483_647

    mutating func podSpec(_ spec: Field, isPod: Bool, podName: String = "") {
        var context = PodSpecContext(isPod: isPod)
        context.gracePeriodSeconds = spec["terminationGracePeriodSeconds"].value?.integer
        context.restartPolicy = spec["restartPolicy"].text
        if !spec["terminationGracePeriodSeconds"].exists { required(spec["terminationGracePeriodSeconds"]) }
        context.volumes = volumes(spec["volumes"], podName: podName)
        context.claimNames = Set(spec["resourceClaims"].elements.map { $0["name"].text }.filter { !$0.isEmpty })
        resourceClaims(spec["resourceClaims"])
        containers(spec["containers"], context)
        initContainers(spec["initContainers"], beside: spec["containers"], context)
        ephemeralContainers(spec, context)
        if spec["resources"].exists { podResources(spec["resources"]) }
        hostNetworkPorts(spec, context)
        isOne(of: ["Always", "OnFailure", "Never"], spec["restartPolicy"])
        isOne(of: ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"], spec["dnsPolicy"])
        labels(spec["nodeSelector"])
        podSecurityContext(spec)
        affinity(spec["affinity"])
        dnsConfig(spec)
        for gate in spec["readinessGates"].elements { qualifiedName(gate["conditionType"]) }
        schedulingGates(spec["schedulingGates"])
        topologySpread(spec["topologySpreadConstraints"])
        hostUsers(spec)
        names(of: spec)
        tolerations(spec["tolerations"])
        hostAliases(spec["hostAliases"])
        isOne(
            of: ["PreemptLowerPriority", "Never"], spec["preemptionPolicy"], isRequired: spec["preemptionPolicy"].exists
        )
        resourceList(spec["overhead"], at: spec["overhead"]["limits"])
        operatingSystem(spec)
    }

    private mutating func names(of spec: Field) {
        for field in ["serviceAccountName", "nodeName"] { optionalName(spec[field], .subdomain) }
        if let seconds = spec["activeDeadlineSeconds"].value?.integer {
            if !(1...Self.largestDeadlineSeconds).contains(seconds) {
                invalid(spec["activeDeadlineSeconds"], Self.rangeFault(1...Self.largestDeadlineSeconds))
            }
        }
        for field in ["hostname", "subdomain"] { optionalName(spec[field], .label) }
        for field in ["priorityClassName", "runtimeClassName"] { optionalName(spec[field], .subdomain) }
    }

    private mutating func hostNetworkPorts(_ spec: Field, _ context: PodSpecContext) {
        guard spec["hostNetwork"].isTrue else { return }
        for port in spec["containers"].elements.flatMap({ $0["ports"].elements }) {
            let host = port["hostPort"]
            if context.isPod || host.number != 0, host.number != port["containerPort"].number {
                invalid(host, value: JSON(host.number), "must match `containerPort` when `hostNetwork` is true")
            }
        }
    }

    private mutating func hostUsers(_ spec: Field) {
        guard spec["hostUsers"].value?.bool == false else { return }
        let why = "when `pod.Spec.HostUsers` is false"
        if spec["hostNetwork"].isTrue { forbidden(spec["hostNetwork"], why) }
        if spec["hostPID"].isTrue { forbidden(spec["HostPID"], why) }
        if spec["hostIPC"].isTrue { forbidden(spec["HostIPC"], why) }
    }

    private static let nameservers = 3
    private static let searchPaths = 32
    private static let searchBytes = 2048

    private mutating func dnsConfig(_ spec: Field) {
        let config = spec["dnsConfig"]
        if spec["dnsPolicy"].text == "None" {
            if !config.exists { return required(config, "must provide `dnsConfig` when `dnsPolicy` is None") }
            if config["nameservers"].isEmpty {
                let why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
                return required(config["nameservers"], why)
            }
        }
        if config["nameservers"].count > Self.nameservers {
            invalid(config["nameservers"], "must not have more than \(Self.nameservers) nameservers")
        }
        for server in config["nameservers"].elements { address(server) }
        let searches = config["searches"].elements
        if searches.count > Self.searchPaths {
            invalid(config["searches"], "must not have more than \(Self.searchPaths) search paths")
        }
        if searches.map(\.text).joined(separator: " ").utf8.count > Self.searchBytes {
            let why = "must not have more than \(Self.searchBytes) characters (including spaces) in the search list"
            invalid(config["searches"], why)
        }
        for search in searches where search.text != "." {
            let name = search.text.hasSuffix(".") ? String(search.text.dropLast()) : search.text
            for message in NameRules.messages(name.replacing("_", with: "-"), .subdomain) {
                invalid(search, value: .string(name), message)
            }
        }
        for option in config["options"].elements where option["name"].isEmpty {
            required(option, "must not be empty")
        }
    }

    private mutating func hostAliases(_ field: Field) {
        for alias in field.elements {
            address(alias["ip"])
            for host in alias["hostnames"].elements { name(host, .subdomain) }
        }
    }

    private mutating func schedulingGates(_ field: Field) {
        var seen: Set<String> = []
        for gate in field.elements {
            let name = gate["name"].text
            text(Field(path: gate.path, .string(name)), NameRules.qualifiedNameMessages(name))
            if !seen.insert(name).inserted { duplicate(gate, value: .string(name)) }
        }
    }

    private mutating func resourceClaims(_ field: Field) {
        var seen: Set<String> = []
        for claim in field.elements {
            if needs(claim["name"]), isNew(claim["name"], in: &seen) { name(claim["name"], .label) }
            let sources = ["resourceClaimName", "resourceClaimTemplateName"].filter { claim[$0].exists }
            if sources.count > 1 {
                let why = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
                invalid(claim, why)
            }
            if sources.isEmpty {
                invalid(claim, "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
            }
            for source in sources { name(claim[source], .subdomain) }
        }
    }

    private mutating func operatingSystem(_ spec: Field) {
        let os = spec["os"]
        guard os.exists else { return }
        let name = os["name"].text
        if name.isEmpty { return required(os["name"], "cannot be empty") }
        if !["linux", "windows"].contains(name) {
            return notSupported(os, ["linux", "windows"], value: .string(name))
        }
        if name == "linux", spec["securityContext"]["windowsOptions"].exists {
            forbidden(spec["securityContext"]["windowsOptions"], "windows options cannot be set for a linux pod")
        }
    }
}
