// Ports of the machine that lead to ports of its pods (`hostPort`), in the form of service ports.

import Formats
import Objects

enum HostPorts {
    /// One entry per `hostPort` of a pod that runs here on its own address. A pod that leaves gives its ports back at
    /// once.
    static func of(_ pods: [Object]) -> [ServicePort] {
        var ports: [ServicePort] = []
        for pod in pods where !pod.isTerminating && pod.spec["hostNetwork"]?.bool != true {
            guard let address = pod.status["podIP"]?.string.flatMap({ IPv4Address($0) }),
                !["Succeeded", "Failed"].contains(pod.status["phase"]?.string)
            else { continue }
            let containers =
                (pod.spec["initContainers"]?.array ?? []).filter { $0["restartPolicy"] == "Always" }
                + (pod.spec["containers"]?.array ?? [])
            for port in containers.flatMap({ $0["ports"]?.array ?? [] }) {
                guard let number = port["hostPort"]?.integer, (1...65535).contains(number),
                    let inside = port["containerPort"]?.integer, (1...65535).contains(inside),
                    let transport = ServicePort.TransportProtocol(
                        rawValue: (port["protocol"]?.string ?? "TCP").lowercased())
                else { continue }
                let own = port["hostIP"]?.string.flatMap { IPv4Address($0) }.flatMap { $0.value == 0 ? nil : $0 }
                let target = ServicePort.Target(address: address, port: inside)
                ports.append(
                    ServicePort(
                        // No service can have such a name, so its chain is its own.
                        service: ObjectKey(namespace: pod.namespace, name: "host/\(pod.name)"), transport: transport,
                        addresses: [], externalAddresses: own.map { [$0] } ?? [], port: number,
                        nodePort: own == nil ? number : nil, targets: [target], externalTargets: [target]))
            }
        }
        return ports
    }
}
