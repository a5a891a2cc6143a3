// How a program in a pod reaches its own cluster: the service account that every pod is given.

import Objects

extension Kubeconfig {
    /// Where a pod finds its account (upstream: client-go/rest/config.go).
    package static let accountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// The cluster that this process runs in. Throws a Problem when it does not run in a pod.
    ///
    /// `variable` gives an environment variable, `read` the bytes of a file.
    package static func inCluster(
        variable: (String) -> String?, read: (String) throws -> [UInt8]
    ) throws -> Kubeconfig {
        guard let host = variable("KUBERNETES_SERVICE_HOST"), let port = variable("KUBERNETES_SERVICE_PORT") else {
            throw Problem(
                .invalid, "this is no pod of a cluster (KUBERNETES_SERVICE_HOST is not set); say --kubeconfig FILE")
        }
        let tokenFile = accountDirectory + "/token"
        _ = try read(tokenFile)
        return Kubeconfig(
            server: "https://" + (host.contains(":") ? "[\(host)]" : host) + ":" + port,
            certificateAuthority: try read(accountDirectory + "/ca.crt"), tokenFile: tokenFile,
            namespace: String(decoding: try read(accountDirectory + "/namespace"), as: UTF8.self))
    }
}
