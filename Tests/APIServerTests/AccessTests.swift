// Certificates, tokens and who may do what.

import Glibc
import Objects
import Testing

@testable import Access

private let noon: Int64 = 1_790_000_000

/// A directory of its own for one test.
private final class Directory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/mangrove-access-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/mangrove-access-none"
    }

    var pki: String { path + "/pki" }

    deinit {
        for name in ["ca", "apiserver", "admin"] {
            unlink("\(pki)/\(name).crt")
            unlink("\(pki)/\(name).key")
        }
        unlink(pki + "/admin.token")
        unlink(pki + "/sa.key")
        unlink(path + "/admin.conf")
        rmdir(pki)
        rmdir(path)
    }
}

@Suite struct CredentialsTests {
    private let directory = Directory()

    @Test func areMadeOnceAndKept() throws {
        let first = try Credentials.open(at: directory.pki, now: noon)
        let second = try Credentials.open(at: directory.pki, now: noon + 86_400)
        #expect(first.authorityPEM == second.authorityPEM)
        #expect(first.server == second.server && first.admin == second.admin)
        #expect(first.adminToken == second.adminToken && first.adminToken.utf8.count == 40)
        #expect(first.tokenKeyPEM != nil && first.tokenKeyPEM == second.tokenKeyPEM)
        for name in ["ca.key", "apiserver.key", "admin.key", "admin.token", "sa.key"] {
            var information = stat()
            #expect(stat("\(directory.pki)/\(name)", &information) == 0)
            #expect(information.st_mode & 0o777 == 0o600)
        }
    }

    @Test func leavesAreRenewedUnderTheSameAuthority() throws {
        let first = try Credentials.open(at: directory.pki, now: noon)
        let later = try Credentials.open(at: directory.pki, now: noon + 300 * 86_400)
        #expect(first.authorityPEM == later.authorityPEM)
        #expect(first.server != later.server && first.admin != later.admin)
        var names = ServerNames()
        names.names.append("mangrove.example.com")
        let renamed = try Credentials.open(at: directory.pki, names: names, now: noon + 300 * 86_400)
        #expect(renamed.server != later.server && renamed.admin == later.admin)
    }

    @Test func aCertificateWithoutItsKeyIsAProblem() throws {
        _ = try Credentials.open(at: directory.pki, now: noon)
        unlink(directory.pki + "/ca.key")
        #expect(throws: Problem.self) { try Credentials.open(at: directory.pki, now: noon) }
    }

    @Test func anExpiredAuthorityIsAProblem() throws {
        _ = try Credentials.open(at: directory.pki, now: noon)
        #expect(throws: Problem.self) { try Credentials.open(at: directory.pki, now: noon + 4_000 * 86_400) }
    }

    @Test func theKubeconfigCarriesEverything() throws {
        let credentials = try Credentials.open(at: directory.pki, now: noon)
        let text = credentials.kubeconfig(server: "https://127.0.0.1:6443")
        #expect(text.contains("server: https://127.0.0.1:6443\n"))
        #expect(text.contains("current-context: mangrove\n"))
        #expect(!text.contains("-data: \n"))
        try credentials.writeKubeconfig(to: directory.path + "/admin.conf", server: "https://127.0.0.1:6443")
        var information = stat()
        #expect(stat(directory.path + "/admin.conf", &information) == 0 && information.st_mode & 0o777 == 0o600)
    }
}

@Suite struct AuthenticatorTests {
    private let directory = Directory()

    @Test func certificatesTokensAndNothing() throws {
        let credentials = try Credentials.open(at: directory.pki, now: noon)
        let authenticator = try Authenticator(credentials)
        #expect(try authenticator.identity(certificatePEM: credentials.admin.certificatePEM) == Credentials.admin)
        #expect(try authenticator.identify(certificate: nil, authorization: nil) == .anonymous)
        let bearer = try authenticator.identify(certificate: nil, authorization: "Bearer \(credentials.adminToken)")
        #expect(bearer == Credentials.admin)
        #expect(try authenticator.identify(certificate: nil, authorization: "Basic YTpi") == .anonymous)
        for wrong in ["Bearer x", "bearer \(credentials.adminToken)x"] {
            #expect(throws: Problem.self) { try authenticator.identify(certificate: nil, authorization: wrong) }
        }
        #expect(throws: Problem.self) { try authenticator.identify(certificate: [1, 2, 3], authorization: nil) }
    }

    @Test func groupsComeFromOrganizations() throws {
        let credentials = try Credentials.open(at: directory.pki, now: noon)
        let issuer = try Issuer(commonName: "other", now: noon, key: nil)
        let pair = try issuer.issue("jane", for: .client(groups: ["dev", "ops"]), now: noon)
        #expect(throws: Problem.self) {
            try Authenticator(credentials).identity(certificatePEM: pair.certificatePEM)
        }
        let own = Credentials(
            authority: issuer.pair, server: credentials.server, admin: pair, adminToken: "t")
        let jane = try Authenticator(own).identity(certificatePEM: pair.certificatePEM)
        #expect(jane == Identity(name: "jane", groups: ["dev", "ops", "system:authenticated"]))
    }

    @Test func aServersCertificateIsNobody() throws {
        let credentials = try Credentials.open(at: directory.pki, now: noon)
        #expect(throws: Problem.self) {
            try Authenticator(credentials).identity(certificatePEM: credentials.server.certificatePEM)
        }
    }
}

@Suite struct AuthorizerTests {
    /// Knows what every cluster begins with.
    let authorizer = {
        let authorizer = Authorizer()
        for entry in BootstrapPolicy.entries { authorizer.stored(entry.kind, entry.object) }
        return authorizer
    }()

    @Test func mastersMayAll() throws {
        let deletion = AccessRequest(verb: "delete", path: "/x", target: .init(plural: "nodes"))
        try authorizer.check(Credentials.admin, deletion)
        try authorizer.check(.component("scheduler"), AccessRequest(verb: "get", path: "/metrics"))
    }

    @Test func everybodyMayAskWhetherTheServerLives() throws {
        for path in ["/version", "/livez", "/readyz", "/healthz"] {
            try authorizer.check(.anonymous, AccessRequest(verb: "get", path: path))
        }
        for (verb, path) in [("post", "/version"), ("get", "/versions"), ("get", "/readyz/ping"), ("get", "/api")] {
            #expect(throws: Problem.self) {
                try authorizer.check(.anonymous, AccessRequest(verb: verb, path: path))
            }
        }
    }

    @Test func refusalsReadAsUpstreams() {
        let request = AccessRequest(
            verb: "list", path: "/api/v1/namespaces/default/pods", target: .init(plural: "pods", namespace: "default"))
        #expect(
            problem(request)
                == "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" "
                + "in the namespace \"default\"")
        #expect(
            problem(AccessRequest(verb: "get", path: "/api"))
                == "forbidden: User \"system:anonymous\" cannot get path \"/api\"")
        let node = AccessRequest(verb: "get", path: "", target: .init(plural: "nodes", name: "n"))
        #expect(
            problem(node)
                == "nodes \"n\" is forbidden: User \"system:anonymous\" cannot get resource \"nodes\" "
                + "in API group \"\" at the cluster scope")
    }

    private func problem(_ request: AccessRequest) -> String {
        do {
            try authorizer.check(.anonymous, request)
            return ""
        } catch {
            return error.message
        }
    }
}
