// The real kubectl against the listener over TLS: what people type, and what they see.

import Access
import Formats
import Glibc
import Logging
import Objects
import Synchronization
import Testing
import Watching

@testable import APIServer

@Suite(.enabled(if: access("/usr/bin/kubectl", X_OK) == 0)) struct KubectlTests {
    @Test func peopleCanWorkWithIt() async throws {
        try await Kubectl.session { kubectl in
            let version = try await kubectl.run("version", "-o", "json")
            #expect(version.out.contains("v1.36.0+mangrove"))
            #expect(try await kubectl.run("get", "namespaces").out.contains("kube-system       Active"))
            #expect(try await kubectl.run("api-resources").out.contains("deployments"))
            try await applyAndScale(kubectl)
            try await services(kubectl)
            try await smallThings(kubectl)
        }
    }

    @Test func watchesCrossTheWire() async throws {
        // One watch at a time: a client that has gone must have freed its place.
        try await Kubectl.session(cursors: 1) { kubectl in
            let pod = """
                {"apiVersion":"v1","kind":"Pod","metadata":{"name":"one"},
                 "spec":{"containers":[{"name":"main","image":"host"}]}}
                """
            #expect(try await kubectl.apply(pod).out == "pod/one created\n")
            let other = kubectl.sibling("other")
            async let waited = other.run("wait", "--for=condition=Ready", "pod/one", "--timeout=20s", "-v=6")
            try await other.untilWatching()
            let status = "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}"
            let patched = try await kubectl.run(
                "patch", "pod", "one", "--subresource=status", "--type=merge", "-p", status)
            #expect(patched.out == "pod/one patched\n", "\(patched)")
            let end = try await waited
            #expect(end.out == "pod/one condition met\n", "\(end)")
            unlink(kubectl.directory + "/errother")
            async let gone = other.run("wait", "--for=delete", "pod/one", "--timeout=20s", "-v=6")
            try await other.untilWatching()
            #expect(try await kubectl.run("delete", "pod", "one", "--wait=false").out == "pod \"one\" deleted\n")
            let deleted = try await gone
            #expect(deleted.out == "pod/one condition met\n", "\(deleted)")
        }
    }

    @Test func logsArrive() async throws {
        try await Kubectl.session { kubectl in
            let pod = """
                {"apiVersion":"v1","kind":"Pod","metadata":{"name":"one"},
                 "spec":{"nodeName":"here","containers":[{"name":"main","image":"host"}]}}
                """
            #expect(try await kubectl.apply(pod).out == "pod/one created\n")
            let logs = try await kubectl.run("logs", "one", "--tail=7")
            #expect(logs.out == "default/one/main\ntail 7\n", "\(logs)")
        }
    }

    private func applyAndScale(_ kubectl: Kubectl) async throws {
        let manifest = """
            apiVersion: apps/v1
            kind: Deployment
            metadata: {name: web, labels: {app: web}}
            spec:
              replicas: 2
              selector: {matchLabels: {app: web}}
              template:
                metadata: {labels: {app: web}}
                spec:
                  containers:
                  - {name: main, image: host, command: [sleep, "1"], ports: [{containerPort: 80}]}
            """
        #expect(try await kubectl.apply(manifest).out == "deployment.apps/web created\n")
        #expect(try await kubectl.apply(manifest).out == "deployment.apps/web unchanged\n")
        let again = try await kubectl.apply(manifest.replacing("image: host", with: "image: nginx:1"))
        #expect(again.out == "deployment.apps/web configured\n")
        #expect(try await kubectl.run("get", "deploy", "web").out.contains("web    0/2     0            0"))
        let scaled = try await kubectl.run("scale", "deploy/web", "--replicas=3")
        #expect(scaled.out == "deployment.apps/web scaled\n", "\(scaled)")
        #expect(try await kubectl.run("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}").out == "3")
        let image = try await kubectl.run("set", "image", "deploy/web", "main=nginx:2")
        #expect(image.out == "deployment.apps/web image updated\n", "\(image)")
        #expect(try await kubectl.run("label", "deploy/web", "tier=front").out == "deployment.apps/web labeled\n")
        #expect(try await kubectl.run("rollout", "restart", "deploy/web").out == "deployment.apps/web restarted\n")
        let typo = try await kubectl.apply(manifest.replacing("replicas: 2", with: "replicaz: 2"))
        #expect(typo.err.contains("unknown field \"spec.replicaz\""), "\(typo)")
        let server = try await kubectl.apply(manifest, "--server-side", "--force-conflicts")
        #expect(server.out == "deployment.apps/web serverside-applied\n", "\(server)")
        let described = try await kubectl.run("describe", "deploy", "web")
        #expect(described.out.contains("StrategyType:           RollingUpdate"), "\(described)")
        let explained = try await kubectl.run("explain", "deployment.spec.replicas")
        #expect(explained.out.contains("FIELD: replicas <integer>"), "\(explained)")
        let gone = try await kubectl.run("delete", "deploy", "web")
        #expect(gone.out == "deployment.apps \"web\" deleted\n", "\(gone)")
        let missing = try await kubectl.run("get", "deploy", "web")
        #expect(missing.err == "Error from server (NotFound): deployments.apps \"web\" not found\n")
    }

    private func services(_ kubectl: Kubectl) async throws {
        let manifest = """
            apiVersion: v1
            kind: Service
            metadata: {name: web}
            spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
            """
        #expect(try await kubectl.apply(manifest).out == "service/web created\n")
        #expect(try await kubectl.apply(manifest).out == "service/web unchanged\n")
        let row = try await kubectl.run("get", "svc", "web", "-o", "wide")
        #expect(row.out.contains("80:30080/TCP"), "\(row)")
        #expect(row.out.contains("app=web"), "\(row)")
        #expect(try await kubectl.run("get", "svc", "kubernetes").out.contains("10.96.0.1    <none>        443/TCP"))
        #expect(try await kubectl.run("delete", "svc", "web").out == "service \"web\" deleted\n")
    }

    private func smallThings(_ kubectl: Kubectl) async throws {
        let pod = """
            {"apiVersion":"v1","kind":"Pod","metadata":{"name":"one"},
             "spec":{"containers":[{"name":"main","image":"host"}]}}
            """
        #expect(try await kubectl.apply(pod).out == "pod/one created\n")
        #expect(try await kubectl.run("get", "pods").out.contains("one    0/1     Pending   0"))
        let selected = try await kubectl.run("get", "pods", "--field-selector=status.phase=Running")
        #expect(selected.err == "No resources found in default namespace.\n")
        #expect(try await kubectl.run("annotate", "pod/one", "a=b").out == "pod/one annotated\n")
        let merged = try await kubectl.run(
            "patch", "pod", "one", "--type=merge", "-p", "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}")
        #expect(merged.out == "pod/one patched\n", "\(merged)")
        let waited = try await kubectl.run("wait", "--for=jsonpath={.status.phase}=Pending", "pod/one", "--timeout=5s")
        #expect(waited.out == "pod/one condition met\n", "\(waited)")
        #expect(try await kubectl.run("get", "events").err.contains("No resources found"))
        #expect(try await kubectl.run("delete", "pod", "one").out == "pod \"one\" deleted\n")
        let raw = try await kubectl.run("get", "--raw", "/readyz")
        #expect(raw.out == "ok")
        #expect(
            try await kubectl.apply("{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"shop\"}}")
                .out
                == "namespace/shop created\n")
        let dry = try await kubectl.apply(pod, "--dry-run=server", "-n", "shop")
        #expect(dry.out == "pod/one created (server dry run)\n", "\(dry)")
        #expect(try await kubectl.run("get", "pods", "-n", "shop").err == "No resources found in shop namespace.\n")
        let generated = try await kubectl.run("create", "configmap", "c", "--from-literal=a=b")
        #expect(generated.out == "configmap/c created\n", "\(generated)")
    }
}

/// Runs kubectl with a kubeconfig of its own.
struct Kubectl: Sendable {
    struct Output: Sendable { var code: Int32, out: String, err: String }

    let directory: String
    /// Sets the files of one kubectl apart from those of another that runs at the same time.
    var suffix = ""

    func sibling(_ suffix: String) -> Kubectl { Kubectl(directory: directory, suffix: suffix) }

    /// Returns when this kubectl, which was told to log its requests, has a watch.
    func untilWatching() async throws {
        for _ in 0..<2000 {
            if read("err" + suffix).contains("watch=true") { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("kubectl does not watch: \(read("err" + suffix))")
    }

    static func session(
        cursors: Int = 100, _ body: @escaping @Sendable (Kubectl) async throws -> Void
    ) async throws {
        var watches = WatchLimits()
        watches.cursors = cursors
        let server = try await Server(watches: watches)
        try await server.listening { credentials, port in
            let kubectl = Kubectl(directory: server.directory.path)
            kubectl.write("ca.crt", credentials.authorityPEM)
            kubectl.write("admin.crt", credentials.admin.certificatePEM)
            kubectl.write("admin.key", credentials.admin.keyPEM)
            kubectl.write("config", configuration(server.directory.path, port))
            try await body(kubectl)
        }
    }

    private static func configuration(_ directory: String, _ port: Int) -> String {
        """
        apiVersion: v1
        kind: Config
        current-context: test
        clusters:
        - {name: test, cluster: {server: "https://127.0.0.1:\(port)", certificate-authority: \(directory)/ca.crt}}
        contexts:
        - {name: test, context: {cluster: test, user: test}}
        users:
        - {name: test, user: {client-certificate: \(directory)/admin.crt, client-key: \(directory)/admin.key}}
        """
    }

    func write(_ name: String, _ text: String) {
        let descriptor = open(directory + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        _ = text.withCString { Glibc.write(descriptor, $0, strlen($0)) }
        close(descriptor)
    }

    func read(_ name: String) -> String {
        let descriptor = open(directory + "/" + name, O_RDONLY)
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    func apply(_ manifest: String, _ arguments: String...) async throws -> Output {
        write("manifest.yaml", manifest)
        return try await run(["apply", "-f", directory + "/manifest.yaml"] + arguments)
    }

    func run(_ arguments: String...) async throws -> Output { try await run(arguments) }

    private func run(_ arguments: [String]) async throws -> Output {
        let words =
            ["/usr/bin/kubectl", "--kubeconfig", directory + "/config", "--cache-dir", directory + "/cache"] + arguments
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, directory + "/out" + suffix, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, directory + "/err" + suffix, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var argv = words.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, "/usr/bin/kubectl", &actions, nil, &argv, environ)
        guard code == 0 else { throw Problem(.internalError, "kubectl cannot be run: \(code)") }
        let status = await withCheckedContinuation { continuation in
            let child = pid
            var thread = pthread_t()
            let waiter = Unmanaged.passRetained(Waiter(child: child, continuation: continuation))
            pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<Waiter>.fromOpaque(argument).takeRetainedValue().wait()
                    return nil
                }, waiter.toOpaque())
            pthread_detach(thread)
        }
        return Output(code: status, out: read("out" + suffix), err: read("err" + suffix))
    }

    private final class Waiter: Sendable {
        let child: pid_t
        let continuation: CheckedContinuation<Int32, Never>

        init(child: pid_t, continuation: CheckedContinuation<Int32, Never>) {
            self.child = child
            self.continuation = continuation
        }

        func wait() {
            var status: Int32 = 0
            waitpid(child, &status, 0)
            continuation.resume(returning: status)
        }
    }
}
