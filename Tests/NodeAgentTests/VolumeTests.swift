// Volumes, downward fields and service variables, on a directory of the test's own.

import ContainerRuntimes
import Formats
import Glibc
import Objects
import Testing

@testable import NodeAgent

@Suite struct VolumeTests {
    private let root = "/tmp/mangrove-volumes-\(getpid())-\(UInt32.random(in: 0 ... .max))"

    private func file(_ path: String, _ text: String, mode: Int? = nil) -> VolumeFile {
        VolumeFile(path: path, content: Array(text.utf8), mode: mode)
    }

    @Test func aVolumeChangesAllAtOnceAndOnlyWhenItDiffers() throws {
        defer { Files.remove(root) }
        let volume = VolumeDirectory(path: root, defaultMode: 0o640, group: nil)
        try volume.write([file("a", "1"), file("deep/b", "2", mode: 0o400)], stamp: "first")
        #expect(Files.text(root + "/a") == "1" && Files.text(root + "/deep/b") == "2")
        #expect(Files.mode(root + "/..data/a") == 0o640 && Files.mode(root + "/..data/deep/b") == 0o400)
        #expect(Files.link(root + "/..data") == "..first" && Files.link(root + "/deep") == "..data/deep")
        try volume.write([file("a", "1"), file("deep/b", "2", mode: 0o400)], stamp: "second")
        #expect(Files.link(root + "/..data") == "..first", "nothing changed, nothing moved")
        try volume.write([file("a", "3")], stamp: "third")
        #expect(Files.link(root + "/..data") == "..third")
        #expect(Files.text(root + "/a") == "3")
        #expect(Files.names(in: root) == ["..data", "..third", "a"], "the old contents are gone")
        #expect(throws: Problem.self) { try volume.write([file("../x", "")], stamp: "fourth") }
    }

    @Test func whoTakesTooMuchOfTheDiskMustGo() async throws {
        defer { Files.remove(root) }
        let configuration = NodeConfiguration(nodeName: "n", nodeAddress: "192.0.2.2", directory: root)
        func limited(_ name: String, _ limit: String) -> JSON {
            PodScript.container(name, ["resources": ["limits": ["ephemeral-storage": .string(limit)]]])
        }
        var pod = PodScript.pod([limited("main", "1Mi"), limited("side", "512Ki"), PodScript.container("free")])
        pod.spec["volumes"] = [
            ["name": "small", "emptyDir": ["sizeLimit": "64Ki"]], ["name": "memory", "emptyDir": ["medium": "Memory"]],
        ]
        let paths = PodPaths(configuration, pod: pod)
        let limits = StorageLimits(of: pod, paths: paths)
        func excess(_ written: [String: Int64]) async -> String? { await limits.excess { written } }
        #expect(!limits.isEmpty)
        #expect(await excess(["main": 1 << 20, "side": 1 << 19]) == nil)
        #expect(
            await excess(["side": (1 << 19) + 1])
                == "Container side exceeded its local ephemeral storage limit \"512Ki\". ")
        #expect(
            await excess(["free": 2 << 20])
                == "Pod ephemeral local storage usage exceeds the total limit of containers 1536Ki. ")
        // Logs count for their container.
        try Files.makeDirectory(paths.logs + "/side")
        try Files.write([UInt8](repeating: 65, count: 1 << 19), to: paths.logs + "/side/0.log", mode: 0o600)
        #expect(await excess(["side": 8192])?.hasPrefix("Container side") == true)
        Files.remove(paths.logs)
        // And volumes for all together; the memory volume is the kernel's affair.
        try Files.makeDirectory(paths.volume("small"))
        try Files.makeDirectory(paths.volume("memory"))
        try Files.write([UInt8](repeating: 65, count: 32 << 10), to: paths.volume("small") + "/file", mode: 0o600)
        try Files.write([UInt8](repeating: 65, count: 1 << 20), to: paths.volume("memory") + "/file", mode: 0o600)
        #expect(await excess(["main": 1 << 20]) == nil)
        #expect(await excess(["main": 1 << 20, "side": 1 << 19])?.hasPrefix("Pod ephemeral") == true)
        try Files.write([UInt8](repeating: 65, count: 65 << 10), to: paths.volume("small") + "/file", mode: 0o600)
        #expect(await excess([:]) == "Usage of EmptyDir volume \"small\" exceeds the limit \"64Ki\". ")
        #expect(StorageLimits(of: PodScript.pod([PodScript.container("main")]), paths: paths).isEmpty)
    }

    @Test func aGroupMayReadWhatTheOwnerMay() throws {
        defer { Files.remove(root) }
        try VolumeDirectory(path: root, defaultMode: 0o400, group: Int(getgid())).write(
            [file("key", "s")], stamp: "one")
        #expect(Files.mode(root + "/..data/key") == 0o440)
        #expect(Files.mode(root).map { $0 & 0o2000 } == 0o2000, "new files belong to the group too")
    }

    private var fields: DownwardFields {
        let pod = PodScript.pod([
            PodScript.container("main", ["resources": ["limits": ["memory": "100Mi"], "requests": ["cpu": "250m"]]])
        ])
        return DownwardFields(
            pod: pod, address: "10.88.0.5", hostAddress: "192.0.2.2", nodeProcessors: 4, nodeMemoryBytes: 1 << 30)
    }

    @Test func resourcesAreToldInUnitsOfTheDivisor() throws {
        func ask(_ resource: String, _ divisor: String? = nil) throws -> String {
            var reference: JSON = ["resource": .string(resource)]
            if let divisor { reference["divisor"] = .string(divisor) }
            return try fields.resource(reference, of: "main")
        }
        #expect(try ask("requests.cpu") == "1", "rounded up")
        #expect(try ask("requests.cpu", "1m") == "250")
        #expect(try ask("limits.memory", "1Mi") == "100")
        #expect(try ask("limits.cpu") == "4", "no limit is what the node has")
        #expect(try ask("requests.memory") == "0")
        #expect(throws: StartFailure.self) { try ask("limits.gold") }
    }

    @Test func namesAreAskedForAsThePolicySays() {
        func text(_ spec: JSON) -> String? {
            let pod = PodScript.pod { pod in
                for member in spec.object ?? JSONObject() { pod["spec", member.key] = member.value }
            }
            let node = NodeConfiguration(nodeName: "n", nodeAddress: "192.0.2.2", directory: "/d")
            return NameResolution(pod: pod, configuration: node).text(host: "nameserver 192.0.2.1\noptions timeout:9\n")
        }
        let usual =
            "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
        #expect(text([:]) == usual)
        #expect(text(["dnsPolicy": "Default"]) == nil && text(["hostNetwork": true]) == nil)
        #expect(text(["hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"]) == usual)
        let wish: JSON = [
            "nameservers": ["192.0.2.7"], "searches": ["a.b"], "options": [["name": "ndots", "value": "2"]],
        ]
        #expect(
            text(["dnsPolicy": "None", "dnsConfig": wish]) == "search a.b\nnameserver 192.0.2.7\noptions ndots:2\n")
        #expect(
            text(["dnsPolicy": "Default", "dnsConfig": wish])
                == "search a.b\nnameserver 192.0.2.1\nnameserver 192.0.2.7\noptions timeout:9 ndots:2\n")
        #expect(text(["dnsConfig": wish])?.hasSuffix("options ndots:2\n") == true)
    }

    @Test func servicesAreFoundInTheEnvironment() {
        var service = Object(.services, namespace: "shop", name: "order-book")
        service.spec = [
            "clusterIP": "10.96.3.4",
            "ports": [["name": "web", "port": 80], ["name": "dns-udp", "port": 53, "protocol": "UDP"]],
        ]
        var headless = Object(.services, namespace: "shop", name: "none")
        headless.spec = ["clusterIP": "None", "ports": [["port": 1]]]
        let found = ServiceVariables.of([service, headless])
        #expect(found["ORDER_BOOK_SERVICE_HOST"] == "10.96.3.4" && found["ORDER_BOOK_SERVICE_PORT"] == "80")
        #expect(found["ORDER_BOOK_SERVICE_PORT_DNS_UDP"] == "53")
        #expect(found["ORDER_BOOK_PORT_53_UDP"] == "udp://10.96.3.4:53")
        #expect(!found.keys.contains { $0.hasPrefix("NONE") })
    }

    @Test func theEndOfALogIsTheMessageOfAFailure() {
        let line = "2026-11-23T01:25:22.399458203Z stderr F "
        #expect(TerminationMessages.end(ofLog: Array("\(line)one\n\(line)two\n".utf8)) == "one\ntwo\n")
        let many = (0..<100).map { "\(line)\($0)\n" }.joined()
        #expect(TerminationMessages.end(ofLog: Array(many.utf8)).hasPrefix("20\n"), "the last 80 lines")
    }

    @Test(arguments: [(nil, 6), (4, 4), (3, 3), (2, 2), (0, 0), (9, 6)]) func aLogGoesOnOverFilesThatWerePutAside(
        _ tail: Int?, _ expected: Int
    ) async throws {
        defer { Files.remove(root) }
        let pod = PodScript.pod()
        let directory = "\(root)/shop_web_u1/main"
        try Files.makeDirectory(directory)
        func lines(_ numbers: ClosedRange<Int>) -> [UInt8] {
            Array(numbers.map { "2026-11-23T01:25:22.000000000Z stdout F line \($0)\n" }.joined().utf8)
        }
        try Files.write(lines(1...2), to: directory + "/0.log.20261123012522000000001", mode: 0o600)
        try Files.write(lines(3...3), to: directory + "/0.log.20261123012522000000002", mode: 0o600)
        try Files.write(lines(4...6), to: directory + "/0.log", mode: 0o600)
        let stream = try PodLogs(directory: root).open(pod, LogReading(tailLines: tail)) { _ in false }
        var text: [UInt8] = []
        while let bytes = try await stream.next() { text += bytes }
        let wanted = (7 - expected..<7).map { "line \($0)\n" }.joined()
        #expect(String(decoding: text, as: UTF8.self) == wanted)
    }

    @Test func healthMessagesAreReadAndWritten() {
        #expect(HealthService.request("") == [])
        #expect(HealthService.request("ab") == [0x0A, 2, 97, 98])
        #expect(HealthService.status([0x08, 1]) == 1 && HealthService.status([]) == 0)
    }
}
