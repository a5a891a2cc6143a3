// What one `mangrove up` is told: where it keeps things and where its interfaces listen.

import Formats

/// The platform's settings, each with a default that suits one machine.
package struct Configuration: Sendable {
    /// Everything the platform keeps; created with mode 0700.
    package var directory: String
    package var api = ListenAddress(host: "127.0.0.1", port: 6443)
    /// HTTP; gRPC listens on the port + 1000, as Nacos clients expect. Nil is off.
    package var nacos: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 8848)
    /// Whether Nacos' clients have to log in.
    package var nacosChecksAccess = false
    package var eureka: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 8761)
    /// Eureka keeps silent leases while fewer than this share of its instances beat; nil lets every lease end in time.
    package var eurekaRenewalShare: Double?
    package var zookeeper: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 2181)
    package var nodeName: String
    /// Whether this machine itself is to find services by name while the platform runs.
    package var resolvesNames = false

    package var podCIDR = "10.88.0.0/16"
    package var serviceCIDR = "10.96.0.0/12"
    package var clusterDomain = "cluster.local"
    /// Service addresses that the platform itself answers on: the API, DNS and the registries.
    package var apiServiceAddress = "10.96.0.1"
    package var dnsServiceAddress = "10.96.0.10"
    package var nacosServiceAddress = "10.96.0.11"
    package var eurekaServiceAddress = "10.96.0.12"
    package var zookeeperServiceAddress = "10.96.0.13"

    /// The service addresses that this machine itself carries.
    package var serviceAddresses: [String] {
        [apiServiceAddress, dnsServiceAddress, nacosServiceAddress, eurekaServiceAddress, zookeeperServiceAddress]
    }

    package init(directory: String, nodeName: String) {
        self.directory = directory
        self.nodeName = nodeName
    }

    package var kubeconfigPath: String { directory + "/kubeconfig" }
}
