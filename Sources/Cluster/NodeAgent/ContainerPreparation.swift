// Turns a container of a pod's spec into what the runtime is asked to make.

import ContainerRuntimes
import Formats
import Objects

/// Everything that the configs of one pod's sandbox and containers are made from.
struct ContainerPreparation: Sendable {
    let pod: Object
    let specification: PodSpecification
    let configuration: NodeConfiguration
    let paths: PodPaths
    let address: String

    var fields: DownwardFields {
        DownwardFields(
            pod: pod, address: address, hostAddress: configuration.nodeAddress, nodeProcessors: NodeSize.processors,
            nodeMemoryBytes: NodeSize.memoryBytes)
    }

    var hostname: String {
        if specification.isOnHostNetwork { return configuration.nodeName }
        let name = pod.spec["hostname"]?.string ?? pod.name
        // The kernel takes 64 bytes, a DNS label 63; upstream cuts there too.
        var cut = name.prefix(63)
        while let last = cut.last, last == "-" || last == "." { cut.removeLast() }
        return String(cut)
    }

    /// The sandbox that the pod's containers share.
    var sandbox: SandboxConfig {
        var config = SandboxConfig(
            id: pod.uid, namespace: pod.namespace, name: pod.name, hostname: hostname, labels: pod.labels,
            annotations: [:], logDirectory: paths.logs,
            resolvConf: NameResolution(pod: pod, configuration: configuration).text(
                host: Files.text("/etc/resolv.conf") ?? ""),
            hostNetwork: specification.isOnHostNetwork)
        config.hostIPC = pod.spec["hostIPC"]?.bool ?? false
        config.sharesProcesses = pod.spec["shareProcessNamespace"]?.bool ?? false
        for setting in pod.spec["securityContext", "sysctls"]?.array ?? [] {
            config.kernelSettings[setting["name"]?.string ?? ""] = setting["value"]?.string
        }
        return config
    }

    /// Whose processes a container sees; `target` is the id of the container that an ephemeral one was aimed at.
    private func processes(target: String?) -> ContainerConfig.ProcessNamespace {
        if pod.spec["shareProcessNamespace"]?.bool == true { return .pod }
        if pod.spec["hostPID"]?.bool == true { return .host }
        return target.map { .container($0) } ?? .own
    }

    /// The container's config. Throws when something that it names is missing or not supported.
    func container(
        _ container: ContainerSpecification, attempt: Int, sources: PodSources, volumes: PodVolumes,
        target: String? = nil
    ) throws(StartFailure) -> ContainerConfig {
        let environment = try ContainerEnvironment(
            of: container, base: base(sources), sources: sources, namespace: pod.namespace, fields: fields)
        let command = container.tree["command"]?.strings ?? []
        let arguments = container.tree["args"]?.strings ?? []
        guard !(command + arguments).isEmpty else {
            throw StartFailure(
                PodSources.failureReason, "image \"\(container.image)\" has no program of its own: set command")
        }
        let own = container.tree["securityContext"]
        let shared = pod.spec["securityContext"]
        let user = own?["runAsUser"]?.integer ?? shared?["runAsUser"]?.integer ?? 0
        let group = own?["runAsGroup"]?.integer ?? shared?["runAsGroup"]?.integer ?? 0
        if (own?["runAsNonRoot"] ?? shared?["runAsNonRoot"])?.bool == true, user == 0 {
            throw StartFailure(
                PodSources.failureReason, "container has runAsNonRoot and would run as root: set runAsUser")
        }
        var config = ContainerConfig(
            name: container.name, attempt: attempt, image: container.image,
            command: command.map(environment.expand), arguments: arguments.map(environment.expand),
            workingDirectory: container.tree["workingDir"]?.string, environment: environment.variables,
            mounts: try mounts(container, environment, volumes), logPath: "\(container.name)/\(attempt).log",
            user: UInt32(clamping: user), group: UInt32(clamping: group),
            supplementalGroups: ((shared?["supplementalGroups"]?.array ?? []) + [shared?["fsGroup"] ?? .null])
                .compactMap {
                    $0.integer.map { UInt32(clamping: $0) }
                },
            privileged: own?["privileged"]?.bool ?? false, resources: try Self.amounts(of: container.tree["resources"]))
        config.hasInput = container.tree["stdin"]?.bool ?? false
        config.inputEndsOnce = container.tree["stdinOnce"]?.bool ?? false
        config.processes = processes(target: target)
        let capabilities = own?["capabilities"]
        config.security.addedCapabilities = capabilities?["add"]?.strings ?? []
        config.security.droppedCapabilities = capabilities?["drop"]?.strings ?? []
        config.security.readOnlyRoot = own?["readOnlyRootFilesystem"]?.bool ?? false
        config.security.noNewPrivileges = own?["allowPrivilegeEscalation"]?.bool == false
        config.hasTerminal = container.tree["tty"]?.bool ?? false
        config.annotations[TerminationMessages.policyAnnotation] = container.tree["terminationMessagePolicy"]?.string
        config.mounts.append(try terminationMessage(container, attempt: attempt))
        return config
    }

    /// What every container of the pod finds in its environment; the API itself whatever `enableServiceLinks` says.
    private func base(_ sources: PodSources) -> [String: String] {
        var kubernetes = Object(.services, namespace: "default", name: "kubernetes")
        kubernetes.spec = [
            "clusterIP": .string(configuration.apiAddress),
            "ports": [["name": "https", "port": JSON(configuration.apiPort)]],
        ]
        let others = pod.spec["enableServiceLinks"]?.bool == false ? [] : sources.services
        var base = ServiceVariables.of(others.filter { $0.key != kubernetes.key } + [kubernetes])
        base["HOSTNAME"] = hostname
        return base
    }

    private func mounts(
        _ container: ContainerSpecification, _ environment: ContainerEnvironment, _ volumes: PodVolumes
    ) throws(StartFailure) -> [ContainerConfig.Mount] {
        var mounts: [ContainerConfig.Mount] = []
        for mount in container.tree["volumeMounts"]?.array ?? [] {
            let name = mount["name"]?.string ?? ""
            guard let path = volumes.hostPaths[name] else {
                throw StartFailure(PodSources.failureReason, "volume \"\(name)\" is not in the pod")
            }
            let below = mount["subPath"]?.string ?? mount["subPathExpr"]?.string.map(environment.expand) ?? ""
            // That no link leads out is seen to where the mount is made.
            guard !below.hasPrefix("/"), !below.split(separator: "/").contains("..") else {
                throw StartFailure(PodSources.failureReason, "subPath \(below) leads out of the volume")
            }
            mounts.append(
                .init(
                    hostPath: path, below: below, containerPath: mount["mountPath"]?.string ?? "",
                    readOnly: mount["readOnly"]?.bool ?? false || volumes.readOnly.contains(name),
                    followsHost: try followsHost(mount, path)))
        }
        if !specification.isOnHostNetwork, !mounts.contains(where: { $0.containerPath == "/etc/hosts" }) {
            mounts.append(.init(hostPath: paths.hosts, containerPath: "/etc/hosts"))
        }
        return mounts
    }

    /// The file that the container may leave its last words in.
    private func terminationMessage(
        _ container: ContainerSpecification, attempt: Int
    ) throws(StartFailure) -> ContainerConfig.Mount {
        let path = TerminationMessages.path(root: paths.root, container: container.name, attempt: attempt)
        do throws(Problem) {
            try Files.makeDirectory(String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]))
            try Files.write([], to: path, mode: 0o666)
        } catch {
            throw StartFailure("CreateContainerError", error.message)
        }
        return .init(
            hostPath: path, containerPath: container.tree["terminationMessagePath"]?.string ?? "/dev/termination-log")
    }

    /// Whether mounts of the host are to arrive in the container later (`mountPropagation`).
    private func followsHost(_ mount: JSON, _ path: String) throws(StartFailure) -> Bool {
        switch mount["mountPropagation"]?.string ?? "None" {
        case "None": return false
        case "HostToContainer":
            guard MountPropagation.reaches(path, mountInfo: Files.text("/proc/self/mountinfo") ?? "") else {
                throw StartFailure(
                    "CreateContainerError",
                    "path \"\(path)\" is on a mount of this machine that is not shared (mount --make-rshared /), so that "
                        + "nothing can arrive from it: mountPropagation HostToContainer cannot be had")
            }
            return true
        case let other:
            throw StartFailure(
                "CreateContainerError", "mountPropagation \(other) is not supported: what containers mount stays theirs"
            )
        }
    }

    /// A container's `resources` as the runtime takes them.
    static func amounts(of tree: JSON?) throws(StartFailure) -> ContainerConfig.Resources {
        var resources = ContainerConfig.Resources()
        let limits = tree?["limits"]
        do {
            if let text = limits?["cpu"]?.text { resources.cpuLimitMillicores = Int(try quantity(text).milliValue) }
            if let text = limits?["memory"]?.text { resources.memoryLimitBytes = try quantity(text).value }
            let request = tree?["requests", "cpu"] ?? limits?["cpu"]
            if let text = request?.text { resources.cpuRequestMillicores = Int(try quantity(text).milliValue) }
        } catch {
            throw StartFailure(PodSources.failureReason, "resources.limits: \(error)")
        }
        return resources
    }

    private static func quantity(_ text: String) throws -> Quantity {
        try Quantity(parsing: text.hasPrefix("\"") ? String(text.dropFirst().dropLast()) : text)
    }

    // MARK: Names

    /// The pod's `/etc/hosts`.
    var hosts: String {
        var text = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
        let subdomain = pod.spec["subdomain"]?.string
        let full = subdomain.map { "\(hostname).\($0).\(pod.namespace).svc.\(configuration.clusterDomain)\t" } ?? ""
        text += "\(address)\t\(full)\(hostname)\n"
        for alias in pod.spec["hostAliases"]?.array ?? [] {
            text += "\(alias["ip"]?.string ?? "")\t\((alias["hostnames"]?.strings ?? []).joined(separator: "\t"))\n"
        }
        return text
    }
}
