// The real thing on a real kernel: run these with `unshare -n`, in any other namespace they are skipped.

import Client
import Formats
import Glibc
import Logging
import Objects
import Testing

@testable import PodNetwork

/// True in an empty network namespace of our own, which these tests may change as they like. `ip link set lo up` is
/// what a confined root may not do.
private let isAlone: Bool = {
    guard geteuid() == 0, Command("python3") != nil, Command("curl") != nil, (try? NetworkTools.found()) != nil,
        system("ip link set lo up 2> /dev/null") == 0
    else { return false }
    let routes = (try? SmallFile(path: "/proc/net/route").read()) ?? []
    let devices = (try? SmallFile(path: "/proc/net/dev").read()) ?? []
    let deviceLines = String(decoding: devices, as: UTF8.self).split(separator: "\n").count
    return String(decoding: routes, as: UTF8.self).split(separator: "\n").count <= 1 && deviceLines == 3
}()

@Suite(.serialized, .enabled(if: isAlone)) struct LiveNetworkTests {
    /// A directory, two network namespaces bound to files in it, and a small web server for each.
    private struct Stage {
        let directory: String
        let tools: NetworkTools
        let shell: Command

        init() async throws {
            directory = "/tmp/mgt-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
            tools = try NetworkTools.found()
            shell = try #require(Command("sh"))
            try await run("mkdir -p \(directory) && ip link set lo up")
        }

        @discardableResult
        func run(_ script: String) async throws -> String { try await shell.run(["-c", script]) }

        func namespace(_ name: String) async throws -> String {
            let path = "\(directory)/\(name)"
            try await run("touch \(path) && unshare --net=\(path) true")
            return path
        }

        /// Answers every request with the pod's name; returns when it listens.
        func serve(in namespace: String, as name: String) async throws -> Int32 {
            let program = """
                import http.server, os, sys
                class Name(http.server.BaseHTTPRequestHandler):
                    def do_GET(self):
                        self.send_response(200); self.end_headers()
                        self.wfile.write(("%s %s" % (sys.argv[1], self.client_address[0])).encode())
                    def log_message(self, *words): pass
                server = http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Name)
                process = os.fork()
                if process: print(process); sys.exit(0)
                os.dup2(os.open("/dev/null", os.O_RDWR), 1); os.dup2(1, 2)
                server.serve_forever()
                """
            try SmallFile(path: "\(directory)/serve.py").replace(Array(program.utf8))
            let output = try await run("nsenter --net=\(namespace) python3 \(directory)/serve.py \(name)")
            return try #require(Int32(output.filter(\.isNumber)))
        }

        /// What a client in this namespace (nil: on the machine) gets; empty when it gets nothing.
        func fetch(_ url: String, from namespace: String? = nil) async throws -> String {
            try await run(
                (namespace.map { "nsenter --net=\($0) " } ?? "") + "curl -s -m 3 --noproxy '*' http://\(url)/ || true")
        }

        func clear(_ servers: [Int32], _ namespaces: [String]) async throws {
            for server in servers { kill(server, SIGKILL) }
            for namespace in namespaces { try await run("umount \(namespace)") }
            try await run("rm -rf \(directory)")
        }
    }

    @Test func podsReachEachOtherTheMachineAndServices() async throws {
        let stage = try await Stage()
        let logger = Logger(label: "test")
        let network = try RoutedNetwork(directory: stage.directory, logger: logger)
        try await network.start()
        let (first, second) = (try await stage.namespace("first"), try await stage.namespace("second"))
        let a = try await network.attach(sandbox: "a", namespacePath: first)
        let b = try await network.attach(sandbox: "b", namespacePath: second)
        #expect(a == "10.88.0.2")
        #expect(b == "10.88.0.3")
        let servers = [
            try await stage.serve(in: first, as: "first"), try await stage.serve(in: second, as: "second"),
        ]

        #expect(try await stage.fetch("\(a):8080") == "first 10.88.0.1")
        #expect(try await stage.fetch("\(a):8080", from: second) == "first \(b)")
        #expect(try await stage.fetch("\(b):8080", from: first) == "second \(a)")

        // An agent that restarted attaches again: same address, connection untouched.
        let again = try RoutedNetwork(directory: stage.directory, logger: logger)
        #expect(try await again.attach(sandbox: "a", namespacePath: first) == a)
        #expect(try await stage.fetch("\(a):8080", from: second) == "first \(b)")

        try await services(stage, first, second)

        await network.detach(sandbox: "b")
        #expect(try await stage.fetch("\(b):8080") == "")
        try await network.remove()
        try await network.remove()
        try await stage.clear(servers, [first, second])
        #expect(
            try await stage.run("nft list ruleset; ip -4 route; ip -o -4 addr; ip -o link | grep mgv || true")
                .split(separator: "\n").count == 1, "only 127.0.0.1 is left")
        #expect(try await stage.run("cat /proc/sys/net/ipv4/ip_forward") == "0\n")
    }

    private func services(_ stage: Stage, _ first: String, _ second: String) async throws {
        let port: JSON = ["name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080]
        let api = PictureAPI(
            services: [
                Picture.service("web", ip: "10.96.0.20", ports: [port], spec: ["type": "NodePort"]),
                Picture.service("empty", ip: "10.96.0.21"),
            ],
            slices: [Picture.slice("web-1", of: "web", [.ready("10.88.0.2")])])
        let proxy = try ServiceProxy(client: api.client, logger: Logger(label: "test"))
        let hosts = try HostAddresses(["10.96.0.10"])
        try await hosts.add()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await proxy.run() }
            await proxy.waitUntilWithdrawn(address: "10.88.9.9")  // Returns when the first rules are applied.
            for place in [nil, first, second] {
                #expect(try await stage.fetch("10.96.0.20", from: place).hasPrefix("first "))
                #expect(try await stage.fetch("10.96.0.21", from: place) == "")
                #expect(try await stage.fetch("10.88.0.1:30080", from: place).hasPrefix("first "))
            }
            #expect(try await stage.fetch("127.0.0.1:30080").hasPrefix("first "))
            let machine = try await stage.run("exec 2>&1; curl -s -m 3 --noproxy '*' http://10.96.0.21/ || echo $?")
            #expect(machine == "7\n", "refused, not timed out")

            // The endpoint terminates, still serving, and nothing else is ready: it keeps its clients until it is asked
            // for.
            api.modify(
                .endpointSlices, Picture.slice("web-1", of: "web", [.leaving("10.88.0.2", isServing: true)]))
            await proxy.waitUntilWithdrawn(address: "10.88.0.2")
            #expect(try await stage.fetch("10.96.0.20") == "")
            api.modify(
                .endpointSlices,
                Picture.slice("web-1", of: "web", [.leaving("10.88.0.2", isServing: true), .ready("10.88.0.3")]))
            var answer = ""
            for _ in 0..<100 where answer.isEmpty { answer = try await stage.fetch("10.96.0.20", from: first) }
            #expect(answer == "second 10.88.0.2")
            group.cancelAll()
        }
        try await proxy.remove()
        try await hosts.remove()
        try await hosts.remove()
    }

    @Test func aFailedCommandSaysWhy() async throws {
        let stage = try await Stage()
        await #expect { try await stage.tools.nft.run(["-f", "-"], input: "nonsense") } throws: { error in
            (error as? Problem)?.message.contains("nft failed: exit status 1") == true
        }
        await #expect { try await stage.shell.run(["-c", "sleep 5"], limit: .milliseconds(50)) } throws: { error in
            (error as? Problem)?.message.contains("did not finish") == true
        }
        try await stage.clear([], [])
    }
}
