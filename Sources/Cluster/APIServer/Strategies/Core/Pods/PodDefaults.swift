// Defaults of pods and pod templates (upstream: pkg/apis/core/v1/defaults.go and the admission plugins on by default).

import Formats

enum PodDefaults {
    /// The mode of files in volumes: 0644.
    static let fileMode: JSON = 420

    /// What pods and templates have in common.
    static func fillSpec(_ spec: inout JSON) {
        spec.fill("restartPolicy", "Always")
        spec.fill("terminationGracePeriodSeconds", 30)
        spec.fill("dnsPolicy", "ClusterFirst")
        spec.fill("securityContext", [:])
        spec.fill("schedulerName", "default-scheduler")
        if let account = spec["serviceAccountName"] ?? spec["serviceAccount"] {
            spec["serviceAccountName"] = account
            spec["serviceAccount"] = account
        }
        let isHostNetwork = spec["hostNetwork"]?.bool == true
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            spec.editEach(list) { fillContainer(&$0, isHostNetwork: isHostNetwork) }
        }
        spec.editEach("volumes", fillVolume)
        spec.editEach("topologySpreadConstraints") { $0.fill("whenUnsatisfiable", "DoNotSchedule") }
    }

    /// What only pods get: upstream's SetDefaults_Pod, then ServiceAccount and DefaultTolerationSeconds.
    static func fillPodSpec(_ spec: inout JSON) {
        fillSpec(&spec)
        spec.fill("enableServiceLinks", true)
        spec.fill("serviceAccountName", "default")
        spec.fill("serviceAccount", "default")
        for list in ["initContainers", "containers"] { spec.editEach(list, requestLimits) }
        var tolerations = spec["tolerations"]?.array ?? []
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
        where !tolerations.contains(where: {
            ($0["key"]?.string ?? "").isEmpty
                || $0["key"]?.string == key
                    && ["NoExecute", "", nil].contains($0["effect"]?.string)
        }) {
            tolerations.append([
                "key": .string(key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            ])
        }
        spec["tolerations"] = .array(tolerations)
    }

    private static func fillContainer(_ container: inout JSON, isHostNetwork: Bool) {
        container.fill("resources", [:])
        container.fill("terminationMessagePath", "/dev/termination-log")
        container.fill("terminationMessagePolicy", "File")
        let policy = pullPolicy(container["image"]?.string ?? "")
        container.fill("imagePullPolicy", .string(policy))
        container.editEach("ports") { port in
            port.fill("protocol", "TCP")
            if isHostNetwork, let number = port["containerPort"] { port.fill("hostPort", number) }
        }
        container.editEach("env") { variable in
            variable.edit("valueFrom") { $0.edit("fieldRef") { $0.fill("apiVersion", "v1") } }
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            container.edit(probe) { probe in
                probe.fill("timeoutSeconds", 1)
                probe.fill("periodSeconds", 10)
                probe.fill("successThreshold", 1)
                probe.fill("failureThreshold", 3)
                fillHandler(&probe)
            }
        }
        container.edit("lifecycle") { lifecycle in
            for hook in ["postStart", "preStop"] { lifecycle.edit(hook, fillHandler) }
        }
    }

    private static func fillHandler(_ handler: inout JSON) {
        handler.edit("httpGet") { get in
            get.fill("path", "/")
            get.fill("scheme", "HTTP")
        }
        handler.edit("grpc") { $0.fill("service", "") }
    }

    /// Always for `latest` and for images without tag or digest.
    private static func pullPolicy(_ image: String) -> String {
        if image.contains("@") { return "IfNotPresent" }
        let last = image.split(separator: "/").last ?? ""
        guard let colon = last.lastIndex(of: ":") else { return "Always" }
        return last[last.index(after: colon)...] == "latest" ? "Always" : "IfNotPresent"
    }

    private static func requestLimits(_ container: inout JSON) {
        guard let limits = container["resources"]?["limits"]?.object, !limits.isEmpty else { return }
        container.edit("resources") { resources in
            resources.fill("requests", [:])
            resources.edit("requests") { requests in
                for limit in limits { requests.fill(limit.key, limit.value) }
            }
        }
    }

    private static func fillVolume(_ volume: inout JSON) {
        if volume.object?.allSatisfy({ $0.key == "name" }) == true { volume["emptyDir"] = [:] }
        for source in ["secret", "configMap", "downwardAPI", "projected"] {
            volume.edit(source) { $0.fill("defaultMode", fileMode) }
        }
        volume.edit("hostPath") { $0.fill("type", "") }
        volume.edit("downwardAPI") { fillFieldItems(&$0) }
        volume.edit("projected") { projected in
            projected.editEach("sources") { source in
                source.edit("serviceAccountToken") { $0.fill("expirationSeconds", 3600) }
                source.edit("downwardAPI") { fillFieldItems(&$0) }
            }
        }
    }

    private static func fillFieldItems(_ source: inout JSON) {
        source.editEach("items") { item in item.edit("fieldRef") { $0.fill("apiVersion", "v1") } }
    }
}
