// How configurations and statuses are written as JSON, between the runtime and a pod's shim and in the pod's directory.

import Formats
import Objects

extension SandboxConfig {
    var json: JSON {
        var tree: JSON = [
            "id": .string(id), "namespace": .string(namespace), "name": .string(name), "hostname": .string(hostname),
            "labels": JSON(stringMap: labels), "annotations": JSON(stringMap: annotations),
            "logDirectory": .string(logDirectory), "hostNetwork": .bool(hostNetwork),
        ]
        tree["hostIPC"] = .bool(hostIPC)
        tree["sharesProcesses"] = .bool(sharesProcesses)
        tree["kernelSettings"] = JSON(stringMap: kernelSettings)
        tree["memoryVolumes"] = .array(
            memoryVolumes.map { volume in
                var tree: JSON = ["path": .string(volume.path)]
                if let size = volume.sizeBytes { tree["sizeBytes"] = .integer(size) }
                if let group = volume.group { tree["group"] = JSON(Int(group)) }
                return tree
            })
        if let resolvConf { tree["resolvConf"] = .string(resolvConf) }
        if let hosts { tree["hosts"] = .string(hosts) }
        return tree
    }

    init(json: JSON) throws(Problem) {
        self.init(
            id: try json.text("id"), namespace: try json.text("namespace"), name: try json.text("name"),
            hostname: try json.text("hostname"), labels: json["labels"]?.stringMap ?? [:],
            annotations: json["annotations"]?.stringMap ?? [:], logDirectory: try json.text("logDirectory"),
            resolvConf: json["resolvConf"]?.string, hosts: json["hosts"]?.string,
            hostNetwork: json["hostNetwork"]?.bool ?? false)
        hostIPC = json["hostIPC"]?.bool ?? false
        sharesProcesses = json["sharesProcesses"]?.bool ?? false
        kernelSettings = json["kernelSettings"]?.stringMap ?? [:]
        for volume in json["memoryVolumes"]?.array ?? [] {
            memoryVolumes.append(
                MemoryVolume(
                    path: try volume.text("path"), sizeBytes: volume["sizeBytes"]?.integer.map { Int64($0) },
                    group: volume["group"]?.integer.map { UInt32(clamping: $0) }))
        }
    }
}

extension ContainerConfig {
    var json: JSON {
        var tree: JSON = [
            "name": .string(name), "attempt": JSON(attempt), "image": .string(image),
            "command": .array(command.map { .string($0) }), "arguments": .array(arguments.map { .string($0) }),
            "environment": JSON(stringMap: environment), "logPath": .string(logPath), "labels": JSON(stringMap: labels),
            "annotations": JSON(stringMap: annotations), "user": JSON(Int(user)), "group": JSON(Int(group)),
            "groups": .array(supplementalGroups.map { JSON(Int($0)) }), "privileged": .bool(privileged),
        ]
        tree["mounts"] = .array(
            mounts.map {
                [
                    "from": .string($0.hostPath), "below": .string($0.below), "to": .string($0.containerPath),
                    "readOnly": .bool($0.readOnly), "followsHost": .bool($0.followsHost),
                ]
            })
        if let workingDirectory { tree["workingDirectory"] = .string(workingDirectory) }
        resources.add(to: &tree)
        tree["addedCapabilities"] = .array(security.addedCapabilities.map { .string($0) })
        tree["droppedCapabilities"] = .array(security.droppedCapabilities.map { .string($0) })
        tree["readOnlyRoot"] = .bool(security.readOnlyRoot)
        tree["noNewPrivileges"] = .bool(security.noNewPrivileges)
        tree["hasInput"] = .bool(hasInput)
        tree["inputEndsOnce"] = .bool(inputEndsOnce)
        tree["hasTerminal"] = .bool(hasTerminal)
        tree["processes"] = .string(processes.text)
        return tree
    }

    init(json: JSON) throws(Problem) {
        var mounts: [Mount] = []
        for mount in json["mounts"]?.array ?? [] {
            mounts.append(
                Mount(
                    hostPath: try mount.text("from"), below: mount["below"]?.string ?? "",
                    containerPath: try mount.text("to"), readOnly: mount["readOnly"]?.bool ?? false,
                    followsHost: mount["followsHost"]?.bool ?? false))
        }
        let groups = (json["groups"]?.array ?? []).compactMap { $0.integer.flatMap { UInt32(exactly: $0) } }
        self.init(
            name: try json.text("name"), attempt: json["attempt"]?.integer ?? 0, image: try json.text("image"),
            command: json["command"]?.strings ?? [], arguments: json["arguments"]?.strings ?? [],
            workingDirectory: json["workingDirectory"]?.string, environment: json["environment"]?.stringMap ?? [:],
            mounts: mounts, logPath: try json.text("logPath"), labels: json["labels"]?.stringMap ?? [:],
            annotations: json["annotations"]?.stringMap ?? [:],
            user: json["user"]?.integer.flatMap { UInt32(exactly: $0) } ?? 0,
            group: json["group"]?.integer.flatMap { UInt32(exactly: $0) } ?? 0, supplementalGroups: groups,
            privileged: json["privileged"]?.bool ?? false,
            resources: Resources(json: json))
        security.addedCapabilities = json["addedCapabilities"]?.strings ?? []
        security.droppedCapabilities = json["droppedCapabilities"]?.strings ?? []
        security.readOnlyRoot = json["readOnlyRoot"]?.bool ?? false
        security.noNewPrivileges = json["noNewPrivileges"]?.bool ?? false
        hasInput = json["hasInput"]?.bool ?? false
        inputEndsOnce = json["inputEndsOnce"]?.bool ?? false
        hasTerminal = json["hasTerminal"]?.bool ?? false
        processes = ProcessNamespace(text: json["processes"]?.string ?? "")
    }
}

extension ContainerConfig.Resources {
    /// Puts what is set beside the members that a message has already.
    func add(to tree: inout JSON) {
        if let limit = cpuLimitMillicores { tree["cpuLimitMillicores"] = JSON(limit) }
        if let limit = memoryLimitBytes { tree["memoryLimitBytes"] = .integer(limit) }
        if let request = cpuRequestMillicores { tree["cpuRequestMillicores"] = JSON(request) }
    }

    init(json: JSON) {
        self.init(
            cpuLimitMillicores: json["cpuLimitMillicores"]?.integer,
            memoryLimitBytes: json["memoryLimitBytes"]?.integer.map { Int64($0) })
        cpuRequestMillicores = json["cpuRequestMillicores"]?.integer
    }
}

extension ContainerConfig.ProcessNamespace {
    fileprivate static let containerPrefix = "container:"

    var text: String {
        switch self {
        case .own: "own"
        case .pod: "pod"
        case .host: "host"
        case .container(let id): Self.containerPrefix + id
        }
    }

    /// A container made by an older version has its own.
    init(text: String) {
        switch text {
        case "pod": self = .pod
        case "host": self = .host
        case let text where text.hasPrefix(Self.containerPrefix):
            self = .container(String(text.dropFirst(Self.containerPrefix.count)))
        default: self = .own
        }
    }
}

extension ContainerStatus {
    var json: JSON {
        [
            "id": .string(id), "sandbox": .string(sandboxID), "name": .string(name), "attempt": JSON(attempt),
            "state": .string(state.rawValue), "pid": JSON(Int(pid)), "createdAt": .integer(createdAt),
            "startedAt": .integer(startedAt), "finishedAt": .integer(finishedAt), "exitCode": JSON(Int(exitCode)),
            "reason": .string(reason), "message": .string(message), "logPath": .string(logPath),
            "labels": JSON(stringMap: labels), "annotations": JSON(stringMap: annotations),
        ]
    }

    init(json: JSON) throws(Problem) {
        guard let state = State(rawValue: try json.text("state")) else {
            throw Problem(.internalError, "a container has the unknown state \(try json.text("state"))")
        }
        self.init(
            id: try json.text("id"), sandboxID: try json.text("sandbox"), name: try json.text("name"),
            attempt: json["attempt"]?.integer ?? 0, state: state, pid: Int32(truncatingIfNeeded: json.number("pid")),
            createdAt: json.number("createdAt"), startedAt: json.number("startedAt"),
            finishedAt: json.number("finishedAt"), exitCode: Int32(truncatingIfNeeded: json.number("exitCode")),
            reason: try json.text("reason"), message: try json.text("message"), logPath: try json.text("logPath"),
            labels: json["labels"]?.stringMap ?? [:], annotations: json["annotations"]?.stringMap ?? [:])
    }
}

extension ExecResult {
    var json: JSON {
        [
            "exitCode": JSON(Int(exitCode)), "output": .array(standardOutput.map { JSON(Int($0)) }),
            "error": .array(standardError.map { JSON(Int($0)) }),
        ]
    }

    init(json: JSON) {
        func bytes(_ name: String) -> [UInt8] {
            (json[name]?.array ?? []).map { UInt8(truncatingIfNeeded: $0.integer ?? 0) }
        }
        self.init(
            exitCode: Int32(truncatingIfNeeded: json.number("exitCode")), standardOutput: bytes("output"),
            standardError: bytes("error"))
    }
}

extension JSON {
    fileprivate func text(_ name: String) throws(Problem) -> String {
        guard let text = self[name]?.string else { throw Problem(.internalError, "\(name) is missing") }
        return text
    }

    fileprivate func number(_ name: String) -> Int64 { Int64(self[name]?.integer ?? 0) }
}
