// The admin's kubeconfig, which kubectl and every other client reads.

import Formats
import Objects

extension Credentials {
    /// The admin's kubeconfig for a server's URL, with everything inline.
    package func kubeconfig(server url: String, name: String = "mangrove") -> String {
        """
        apiVersion: v1
        kind: Config
        clusters:
        - name: \(name)
          cluster:
            server: \(url)
            certificate-authority-data: \(Base64.encode(Array(authorityPEM.utf8)))
        users:
        - name: \(name)-admin
          user:
            client-certificate-data: \(Base64.encode(Array(admin.certificatePEM.utf8)))
            client-key-data: \(Base64.encode(Array(admin.keyPEM.utf8)))
        contexts:
        - name: \(name)
          context:
            cluster: \(name)
            user: \(name)-admin
        current-context: \(name)

        """
    }

    /// Writes the admin's kubeconfig, whole or not at all, readable by its owner only.
    package func writeKubeconfig(to path: String, server url: String, name: String = "mangrove") throws(Problem) {
        try SecretDirectory.write(kubeconfig(server: url, name: name), to: path)
    }
}
