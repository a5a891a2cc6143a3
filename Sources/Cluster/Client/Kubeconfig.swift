// Reads a kubeconfig file: which server, whom to trust, who we are.

import Formats
import Objects

/// The current (or a named) context of a kubeconfig. Certificates are PEM.
package struct Kubeconfig: Sendable {
    package var server: String
    /// Nil trusts what the machine trusts.
    package var certificateAuthority: [UInt8]?
    package var skipsVerification = false
    package var clientCertificate: [UInt8]?
    package var clientKey: [UInt8]?
    package var token: String?
    /// A file with a token that may be renewed in it; read anew from time to time.
    package var tokenFile: String?
    /// The namespace that the context names; empty for none.
    package var namespace = ""

    package init(
        server: String, certificateAuthority: [UInt8]? = nil, tokenFile: String? = nil, namespace: String = ""
    ) {
        self.server = server
        self.certificateAuthority = certificateAuthority
        self.tokenFile = tokenFile
        self.namespace = namespace
    }

    /// Reads the text of a kubeconfig (YAML or JSON). `read` gives the bytes of a file that it names.
    package init(
        parsing text: String, context: String? = nil, read: (String) throws -> [UInt8]
    ) throws {
        let tree = try JSON(parsingYAML: text)
        let name = context ?? tree["current-context"]?.string ?? ""
        let chosen = try Self.entry("contexts", "context", name, in: tree)
        let cluster = try Self.entry("clusters", "cluster", chosen["cluster"]?.string ?? "", in: tree)
        let user = chosen["user"]?.string ?? ""
        let identity = user.isEmpty ? .null : try Self.entry("users", "user", user, in: tree)
        guard let server = cluster["server"]?.string, !server.isEmpty else {
            throw Problem(.invalid, "the kubeconfig's context \"\(name)\" names no server")
        }
        for unsupported in ["exec", "auth-provider", "username"] where identity[unsupported] != nil {
            throw Problem(
                .notImplemented, "the kubeconfig's user \"\(user)\" needs \(unsupported), which is not supported")
        }
        for unsupported in ["proxy-url", "tls-server-name"] where cluster[unsupported] != nil {
            throw Problem(.notImplemented, "the kubeconfig's cluster needs \(unsupported), which is not supported")
        }
        self.server = server.hasSuffix("/") ? String(server.dropLast()) : server
        certificateAuthority = try Self.bytes("certificate-authority", of: cluster, read)
        skipsVerification = cluster["insecure-skip-tls-verify"]?.bool ?? false
        clientCertificate = try Self.bytes("client-certificate", of: identity, read)
        clientKey = try Self.bytes("client-key", of: identity, read)
        token = identity["token"]?.string
        tokenFile = identity["tokenFile"]?.string
        // A file counts more than a token, as with client-go; one that is not there is told at once.
        if let tokenFile { _ = try read(tokenFile) }
        namespace = chosen["namespace"]?.string ?? ""
    }

    private static func entry(_ list: String, _ kind: String, _ name: String, in tree: JSON) throws -> JSON {
        guard let entry = tree[list]?.array?.first(where: { $0["name"]?.string == name }) else {
            throw Problem(.invalid, "the kubeconfig has no \(kind) \"\(name)\"")
        }
        return entry[kind] ?? .null
    }

    /// The value itself as base64 under `…-data`, or the file that the field names.
    private static func bytes(_ field: String, of tree: JSON, _ read: (String) throws -> [UInt8]) throws -> [UInt8]? {
        if let text = tree[field + "-data"]?.string {
            guard let bytes = Base64.decode(text) else {
                throw Problem(.invalid, "the kubeconfig's \(field)-data is not base64")
            }
            return bytes
        }
        return try tree[field]?.string.map(read)
    }
}
