// The machine's resolver configuration: what is written, and that the end leaves what was there at the beginning.

import Glibc
import Objects
import Testing

@testable import PodNetwork

@Suite struct MachineResolverTests {
    /// A folder of the test's own with a configuration in it.
    private final class Machine {
        let root: String
        var places = MachineResolver.Places()

        init(_ text: String?) throws {
            var template = Array("/tmp/mangrove-resolver-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw Problem(.internalError, "no folder") }
            root = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            places.file = root + "/resolv.conf"
            places.resolved = root + "/no-resolved"
            places.dropIn = root + "/drop-ins/mangrove.conf"
            if let text { try SmallFile(path: places.file).rewrite(Array(text.utf8)) }
        }

        var resolver: MachineResolver { MachineResolver(directory: root + "/kept", places: places) }
        var text: String? { try? SmallFile(path: places.file).read().map { String(decoding: $0, as: UTF8.self) } }
        var keeps: Bool { access(root + "/kept", F_OK) == 0 }

        deinit { for name in ["resolv.conf", "real.conf", ""] { remove(root + "/" + name) } }
    }

    static let original = "# mine\nnameserver 192.0.2.1\nnameserver 10.96.0.10\nsearch corp.example\noptions ndots:2\n"

    @Test func ourServerComesFirstAndTheRestStays() {
        let text = MachineResolver.text(
            instead: Self.original, server: "10.96.0.10", domain: "cluster.local", keptIn: "/k")
        #expect(
            text.split(separator: "\n").dropFirst() == [
                "nameserver 10.96.0.10", "nameserver 192.0.2.1", "search corp.example svc.cluster.local cluster.local",
                "# mine",
                "options ndots:2",
            ])
    }

    @Test func whatWasThereComesBack() async throws {
        let machine = try Machine(Self.original)
        _ = try await machine.resolver.apply(server: "10.96.0.10", domain: "cluster.local")
        #expect(machine.text?.contains("nameserver 10.96.0.10\nnameserver 192.0.2.1") == true)
        // Killed and started again: what is kept is still the first one.
        _ = try await machine.resolver.apply(server: "10.96.0.10", domain: "cluster.local")
        let said = try await machine.resolver.restore()
        #expect(said != nil && machine.text == Self.original && !machine.keeps)
        #expect(try await machine.resolver.restore() == nil)
    }

    @Test func aLinkComesBackAsALink() async throws {
        let machine = try Machine(nil)
        try SmallFile(path: machine.root + "/real.conf").rewrite(Array(Self.original.utf8))
        #expect(symlink("real.conf", machine.places.file) == 0)
        _ = try await machine.resolver.apply(server: "10.96.0.10", domain: "cluster.local")
        var information = stat()
        #expect(lstat(machine.places.file, &information) == 0 && information.st_mode & S_IFMT == S_IFREG)
        #expect(try SmallFile(path: machine.root + "/real.conf").read() == Array(Self.original.utf8))
        _ = try await machine.resolver.restore()
        #expect(lstat(machine.places.file, &information) == 0 && information.st_mode & S_IFMT == S_IFLNK)
        #expect(machine.text == Self.original)
    }

    @Test func whatOthersWroteMeanwhileStays() async throws {
        let machine = try Machine(Self.original)
        _ = try await machine.resolver.apply(server: "10.96.0.10", domain: "cluster.local")
        try SmallFile(path: machine.places.file).rewrite(Array("nameserver 198.51.100.1\n".utf8))
        let said = try await machine.resolver.restore()
        #expect(said?.contains("stays") == true && machine.text == "nameserver 198.51.100.1\n" && !machine.keeps)
    }

    @Test func resolvedGetsADropInAndIsToldOfIt() async throws {
        let machine = try Machine("nameserver 127.0.0.53\n")
        #expect(mkdir(machine.places.resolved, 0o755) == 0)
        // The machine's systemctl is one that writes down what it is told; nothing else in this process needs a
        // systemctl.
        let programs = machine.root + "/programs"
        #expect(mkdir(programs, 0o755) == 0)
        try SmallFile(path: programs + "/systemctl").rewrite(Array("#!/bin/sh\necho \"$@\" >> \(programs)/told\n".utf8))
        #expect(chmod(programs + "/systemctl", 0o755) == 0)
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        setenv("PATH", "\(programs):\(path)", 1)
        defer { setenv("PATH", path, 1) }
        func told() throws -> Int {
            let text = try SmallFile(path: programs + "/told").read().map { String(decoding: $0, as: UTF8.self) } ?? ""
            #expect(text.split(separator: "\n").allSatisfy { $0 == "restart systemd-resolved" })
            return text.split(separator: "\n").count
        }
        func dropIn() throws -> String? {
            try SmallFile(path: machine.places.dropIn).read().map { String(decoding: $0, as: UTF8.self) }
        }
        let said = try await machine.resolver.apply(server: "10.96.0.10", domain: "cluster.local")
        #expect(said.contains("systemd-resolved"))
        #expect(try told() == 1)
        #expect(try dropIn()?.hasSuffix("[Resolve]\nDNS=10.96.0.10\nDomains=~cluster.local\n") == true)
        #expect(machine.text == "nameserver 127.0.0.53\n", "the file stays as it is")
        // Killed and started again, then ended.
        _ = try await machine.resolver.apply(server: "10.96.0.10", domain: "cluster.local")
        #expect(try await machine.resolver.restore()?.contains("is removed") == true)
        #expect(try dropIn() == nil && !machine.keeps)
        #expect(try told() == 4, "once for each change of the drop-in")
    }

    @Test func noneBeforeIsNoneAfter() async throws {
        let machine = try Machine(nil)
        _ = try await machine.resolver.apply(server: "10.96.0.10", domain: "cluster.local")
        #expect(machine.text != nil)
        _ = try await machine.resolver.restore()
        #expect(machine.text == nil)
    }
}
