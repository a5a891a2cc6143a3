// Validation of containers, init containers and ephemeral containers.

import Formats
import Objects

extension Findings {
    static let protocols = ["SCTP", "TCP", "UDP"]

    mutating func containers(_ field: Field, _ context: PodSpecContext) {
        guard needs(field) else { return }
        var names: Set<String> = []
        for container in field.elements {
            common(container, context)
            isNew(container["name"], in: &names)
            lifecycleAndProbes(container, context)
            forbids(container["restartPolicy"], "may not be set for non-init containers")
        }
        hostPortConflicts(field.elements)
        if context.isPod { for container in field.elements { plainImage(container["image"]) } }
    }

    mutating func initContainers(_ field: Field, beside regular: Field, _ context: PodSpecContext) {
        var names = Set(regular.elements.map { $0["name"].text })
        for container in field.elements {
            common(container, context)
            let policy = container["restartPolicy"]
            if policy.exists { if policy.text != "Always" { notSupported(policy, ["Always"]) } }
            if !container["name"].isEmpty { isNew(container["name"], in: &names) }
            hostPortConflicts([container])
            if policy.text == "Always" {
                lifecycleAndProbes(container, context)
            } else {
                for part in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"]
                where container[part].exists {
                    forbidden(container[part], "may not be set for init containers without restartPolicy=Always")
                }
            }
            if context.isPod { plainImage(container["image"]) }
        }
    }

    mutating func ephemeralContainers(_ spec: Field, _ context: PodSpecContext) {
        let others = Set((spec["containers"].elements + spec["initContainers"].elements).map { $0["name"].text })
        var names = others
        let why = "cannot be set for an Ephemeral Container"
        for container in spec["ephemeralContainers"].elements {
            common(container, context)
            plainImage(container["image"])
            isNew(container["name"], in: &names)
            let target = container["targetContainerName"]
            if !target.isEmpty, !others.contains(target.text) { notFound(target) }
            let refused = ["ports", "resources", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle"]
            for part in refused { forbids(container[part], why) }
            for mount in container["volumeMounts"].elements {
                for part in ["subPath", "subPathExpr"] { forbids(mount[part], why) }
            }
        }
    }

    /// What holds for every kind of container.
    private mutating func common(_ container: Field, _ context: PodSpecContext) {
        requiredName(container["name"], .label)
        needs(container["image"])
        isOne(of: ["File", "FallbackToLogsOnError"], container["terminationMessagePolicy"])
        ports(container["ports"])
        environment(container)
        mounts(container, context)
        devices(container, context)
        isOne(of: ["Always", "IfNotPresent", "Never"], container["imagePullPolicy"])
        resources(container["resources"], claims: context.claimNames)
        resizePolicy(container["resizePolicy"], context)
        securityContext(container["securityContext"])
    }

    private mutating func plainImage(_ image: Field) {
        if image.text.first?.isWhitespace == true || image.text.last?.isWhitespace == true {
            invalid(image, "must not have leading or trailing whitespace")
        }
    }

    private mutating func lifecycleAndProbes(_ container: Field, _ context: PodSpecContext) {
        for hook in ["postStart", "preStop"] where container["lifecycle"][hook].exists {
            handler(
                container["lifecycle"][hook], ["exec", "httpGet", "tcpSocket", "sleep"],
                gracePeriodSeconds: context.gracePeriodSeconds)
        }
        for name in ["livenessProbe", "readinessProbe", "startupProbe"] where container[name].exists {
            probe(container[name], isReadiness: name == "readinessProbe")
        }
    }

    private mutating func ports(_ field: Field) {
        var names: Set<String> = []
        for port in field.elements {
            if !port["name"].isEmpty {
                let messages = NameRules.portNameMessages(port["name"].text)
                if messages.isEmpty { isNew(port["name"], in: &names) } else { text(port["name"], messages) }
            }
            if port["containerPort"].number == 0 {
                required(port["containerPort"])
            } else {
                self.port(port["containerPort"])
            }
            if port["hostPort"].number != 0 { self.port(port["hostPort"]) }
            isOne(of: Self.protocols, port["protocol"])
        }
    }

    private mutating func hostPortConflicts(_ containers: [Field]) {
        var taken: Set<String> = []
        for port in containers.flatMap({ $0["ports"].elements }) where port["hostPort"].number != 0 {
            let key = "\(port["protocol"].text)/\(port["hostIP"].text)/\(port["hostPort"].number)"
            if !taken.insert(key).inserted { duplicate(port["hostPort"], value: .string(key)) }
        }
    }

    private mutating func resizePolicy(_ field: Field, _ context: PodSpecContext) {
        var seen: Set<String> = []
        for policy in field.elements {
            let resource = policy["resourceName"]
            if !seen.insert(resource.text).inserted { duplicate(policy, value: resource.value) }
            for (name, known) in [
                ("resourceName", ["cpu", "memory"]), ("restartPolicy", ["NotRequired", "RestartContainer"]),
            ] {
                if policy[name].isEmpty {
                    required(field)
                } else if !known.contains(policy[name].text) {
                    notSupported(field, known, value: policy[name].value)
                }
            }
            if context.restartPolicy == "Never", policy["restartPolicy"].text != "NotRequired" {
                let why = "must be 'NotRequired' when `restartPolicy` is 'Never'"
                invalid(field, value: policy["restartPolicy"].value, why)
            }
        }
    }
}
