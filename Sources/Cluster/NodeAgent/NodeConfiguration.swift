// What a node agent must be told about its node and cluster.

import Objects

/// The settings of one node agent.
package struct NodeConfiguration: Sendable {
    package var nodeName: String
    /// The node's own address, as pods and people reach it.
    package var nodeAddress: String
    /// Where the agent keeps logs and volumes; made when missing.
    package var directory: String
    /// The DNS server that pods are told of; empty leaves them the node's.
    package var clusterDNS: String
    package var clusterDomain: String
    /// Where pods find the API: KUBERNETES_SERVICE_HOST and _PORT.
    package var apiAddress: String
    package var apiPort: Int
    /// What the Node says of itself as `kubeletVersion`.
    package var kubernetesVersion: String
    package var maximumPods: Int

    package init(
        nodeName: String, nodeAddress: String, directory: String, clusterDNS: String = "10.96.0.10",
        clusterDomain: String = "cluster.local", apiAddress: String = "10.96.0.1", apiPort: Int = 443,
        kubernetesVersion: String = KubernetesVersion.git, maximumPods: Int = 110
    ) {
        self.nodeName = nodeName
        self.nodeAddress = nodeAddress
        self.directory = directory
        self.clusterDNS = clusterDNS
        self.clusterDomain = clusterDomain
        self.apiAddress = apiAddress
        self.apiPort = apiPort
        self.kubernetesVersion = kubernetesVersion
        self.maximumPods = maximumPods
    }

    var logsDirectory: String { directory + "/logs" }
    var podsDirectory: String { directory + "/pods" }
}

/// Where one pod's files are.
struct PodPaths: Sendable {
    let logs: String
    let root: String

    init(_ configuration: NodeConfiguration, namespace: String, name: String, uid: String) {
        logs = PodLogs.directory(below: configuration.logsDirectory, namespace: namespace, name: name, uid: uid)
        root = "\(configuration.podsDirectory)/\(uid)"
    }

    init(_ configuration: NodeConfiguration, pod: Object) {
        self.init(configuration, namespace: pod.namespace, name: pod.name, uid: pod.uid)
    }

    var hosts: String { root + "/etc-hosts" }
    func volume(_ name: String) -> String { "\(root)/volumes/\(name)" }
}
