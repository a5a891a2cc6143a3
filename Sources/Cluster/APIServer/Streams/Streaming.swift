// The endpoints that become streams: pods/exec, pods/attach and pods/portforward.

import Formats
import HTTPTypes
import Objects
import RemoteStreams

extension KubernetesAPI {
    /// `GET|POST pods/<name>/exec` and `.../attach`.
    func command(_ call: APICall, attaches: Bool) async throws -> APIAnswer {
        guard [.get, .post].contains(call.request.method) else { throw call.methodNotAllowed }
        let (pod, _) = try existing(call)
        var request = CommandRequest(
            container: try KubernetesAPI.container(of: pod, asked: call.query["container"]),
            command: attaches ? [] : call.query.all("command"), wantsInput: call.query.flag("stdin"),
            wantsOutput: call.query.flag("stdout"), wantsError: call.query.flag("stderr"),
            hasTerminal: call.query.flag("tty"))
        guard request.wantsInput || request.wantsOutput || request.wantsError else {
            throw Problem.badRequest("you must specify at least one of stdin, stdout, stderr")
        }
        if !attaches, request.command.isEmpty {
            throw Problem.badRequest("you must specify at least 1 command for the container")
        }
        if attaches { request.hasTerminal = Self.hasTerminal(request.container, in: pod) }
        try Self.checkRuns(pod, attaches ? "attach to" : "exec into")
        let way = try Self.upgrade(call.request)
        let version = try Self.version(for: way, call.request.subprotocols)
        let process =
            try await attaches
            ? nodeAccess.attach(namespace: pod.namespace, pod: pod.name, request)
            : nodeAccess.execute(namespace: pod.namespace, pod: pod.name, request)
        let session = CommandSession(request: request, version: version, process: process)
        guard way == .spdy else {
            return .upgrade(StreamUpgrade(way: way, subprotocol: version.rawValue) { await session.serve($0) })
        }
        return .upgrade(
            StreamUpgrade(way: way, subprotocol: CommandStreams.subprotocol) { link in
                let streams = SPDYCommandLink(link, streams: CommandStreams(session.request))
                if await streams.opened() { await session.serve(streams) } else { await process.close() }
            })
    }

    /// `GET|POST pods/<name>/portforward`.
    func portForward(_ call: APICall) async throws -> APIAnswer {
        guard [.get, .post].contains(call.request.method) else { throw call.methodNotAllowed }
        let (pod, _) = try existing(call)
        try Self.checkRuns(pod, "forward ports to")
        let way = try Self.upgrade(call.request)
        let (nodeAccess, namespace, name) = (nodeAccess, pod.namespace, pod.name)
        let tunnel = way == .spdy ? PortForwardTunnel.spdySubprotocol : PortForwardTunnel.subprotocol
        if call.request.subprotocols.contains(tunnel) {
            return .upgrade(
                StreamUpgrade(way: way, subprotocol: tunnel) { link in
                    await PortForwardTunnel(link) { port throws(Problem) in
                        try await nodeAccess.connect(namespace: namespace, pod: name, port: port)
                    }.serve()
                })
        }
        guard way != .spdy,
            let subprotocol = PortForwardChannels.subprotocols.first(where: call.request.subprotocols.contains)
        else {
            let served = [tunnel] + (way == .spdy ? [] : PortForwardChannels.subprotocols)
            throw Self.noSubprotocol(served, offered: call.request.subprotocols)
        }
        let ports = call.query.all("ports").flatMap { $0.split(separator: ",") }.compactMap { Int($0) }
        guard !ports.isEmpty, ports.count <= PortForwardChannels.portLimit,
            ports.allSatisfy({ (1...65_535).contains($0) })
        else {
            throw Problem.badRequest(
                "query parameter \"ports\" is required: 1 to \(PortForwardChannels.portLimit) numbers")
        }
        var connections: [any RemoteConnection] = []
        for port in ports {
            connections.append(try await nodeAccess.connect(namespace: namespace, pod: name, port: port))
        }
        let session = PortForwardChannels(ports: ports, connections: connections)
        return .upgrade(StreamUpgrade(way: way, subprotocol: subprotocol) { link in await session.serve(link) })
    }

    private static func checkRuns(_ pod: Object, _ deed: String) throws(Problem) {
        let phase = pod.status["phase"]?.string ?? ""
        if phase == "Succeeded" || phase == "Failed" {
            throw Problem.badRequest("cannot \(deed) a container in a completed pod; current phase is \(phase)")
        }
        if (pod["spec", "nodeName"]?.string ?? "").isEmpty {
            throw Problem.badRequest("pod \(pod.name) does not have a host assigned")
        }
    }

    /// Last of the checks: a client that tries both ways then hears the real reason.
    private static func upgrade(_ request: HTTPRequest) throws(Problem) -> StreamUpgrade.Way {
        guard let way = request.wantedUpgrade else { throw .badRequest("Upgrade request required") }
        return way
    }

    /// How a command's channels are spoken. Over SPDY a stream's end is always told, as in version 5.
    private static func version(
        for way: StreamUpgrade.Way, _ offers: [String]
    ) throws(Problem) -> CommandChannels.Version {
        if way == .spdy {
            guard offers.contains(CommandStreams.subprotocol) else {
                throw noSubprotocol([CommandStreams.subprotocol], offered: offers)
            }
            return .v5
        }
        guard let version = CommandChannels.Version.chosen(from: offers) else {
            throw noSubprotocol(CommandChannels.Version.allCases.map(\.rawValue), offered: offers)
        }
        return version
    }

    private static func noSubprotocol(_ served: [String], offered: [String]) -> Problem {
        .badRequest(
            "unable to upgrade: no sub-protocol in common: offered [\(offered.joined(separator: " "))], served "
                + "[\(served.joined(separator: " "))]")
    }

    private static func hasTerminal(_ container: String, in pod: Object) -> Bool {
        ["containers", "initContainers", "ephemeralContainers"].contains { list in
            (pod["spec", list]?.array ?? []).contains { $0["name"]?.string == container && $0["tty"]?.bool == true }
        }
    }
}

extension NodeAccess {
    package func execute(
        namespace: String, pod: String, _ request: CommandRequest
    ) async throws(Problem) -> any RemoteProcess {
        throw Problem(.notImplemented, "this node runs no commands in containers")
    }

    package func attach(
        namespace: String, pod: String, _ request: CommandRequest
    ) async throws(Problem) -> any RemoteProcess {
        throw Problem(.notImplemented, "this node attaches to no containers")
    }

    package func connect(namespace: String, pod: String, port: Int) async throws(Problem) -> any RemoteConnection {
        throw Problem(.notImplemented, "this node forwards no ports")
    }
}
