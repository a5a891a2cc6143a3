// The controllers that hold keys: they get what they sign with from here, and everything else through the API.

import APIServer
import Access
import Controllers
import Formats
import Logging
import Objects

extension Parts {
    /// Tells other API servers, such as metrics-server, how to know this one's clients
    /// (upstream: controlplane/controller/clusterauthenticationtrust).
    func publishAuthority() async throws {
        let client = client("mangrove")
        var map = Object(.configMaps, namespace: "kube-system", name: "extension-apiserver-authentication")
        map["data"] = ["client-ca-file": .string(authorityPEM)]
        do {
            let stored = try await client.get(.configMaps, map.key)
            if stored["data", "client-ca-file"] == map["data", "client-ca-file"] { return }
            _ = try await client.patch(.configMaps, map.key, .merge, ["data": map["data"] ?? [:]])
        } catch let problem as Problem where problem.reason == .notFound {
            _ = try await client.create(.configMaps, map)
        }
    }

    /// Adds the controllers of tokens in Secrets, certificates and aggregated roles.
    mutating func addAccess(_ credentials: Credentials, _ tokens: ServiceAccountTokens?, logger: Logger) throws {
        let signing = try CertificateSigning(credentials)
        let now = { @Sendable in APIEnvironment.system.now().secondsSinceEpoch }
        let loops = AccessLoops(
            client: client("access-controllers"), rootCertificate: credentials.authorityPEM,
            makeToken: { account, secret throws(Problem) in
                guard let tokens else { throw Problem(.notImplemented, "this server issues no service account tokens") }
                return try tokens.issueLegacy(account: account, secret: secret)
            },
            sign: { request throws(Problem) in
                guard let signer = CertificateSigner(rawValue: request["spec", "signerName"]?.string ?? "") else {
                    return nil
                }
                let bytes = request["spec", "request"]?.string.flatMap(Base64.decode) ?? []
                return try signing.sign(
                    requestPEM: String(decoding: bytes, as: UTF8.self), by: signer,
                    usages: request["spec", "usages"]?.strings ?? [],
                    seconds: request["spec", "expirationSeconds"]?.integer.map(Int64.init), now: now())
            }, logger: logger)
        add("access controllers") { try await loops.run() }
    }
}

extension Configuration {
    /// The names and addresses under which this server is reached.
    var serverNames: ServerNames {
        var names = ServerNames()
        for name in [
            "kubernetes.default.svc.\(clusterDomain)", apiServiceAddress, nodeName, NodeParts.machineAddress(),
            api.host,
        ] where name != "0.0.0.0" { names.add(name) }
        return names
    }
}
