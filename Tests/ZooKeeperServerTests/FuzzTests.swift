// Mutated frames for the decoder, and mutated names for the views.

import Catalogue
import Fuzzing
import NIOCore
import Testing

@testable import ZooKeeperServer

@Suite struct ZooKeeperFuzzTests {
    private static let fuzz = Fuzz(bytes: [[0x7F, 0xFF, 0xFF, 0xFF], [0xFF, 0xFF, 0xFF, 0xFE], [0, 0, 0, 0]])

    private func run(_ samples: [[UInt8]], _ body: ([UInt8], inout SeededGenerator) -> Void) {
        #expect(Self.fuzz.failure(of: samples, body) == nil)
    }

    private static func frame(_ write: (inout ByteBuffer) -> Void) -> [UInt8] {
        var buffer = ByteBuffer()
        write(&buffer)
        return Array(buffer.readableBytesView)
    }

    /// One good body of each shape that requests have.
    private static let bodies: [[UInt8]] = [
        frame {
            $0.writeJute("/a"); $0.writeJute(true)
        },
        frame {
            $0.writeJute("/a"); $0.writeJute([1, 2]); $0.writeJute(AccessEntry.open); $0.writeJute(Int32(3))
        },
        frame {
            $0.writeJute("/a"); $0.writeJute([UInt8]()); $0.writeJute(AccessEntry.open);
            $0.writeMultipleIntegers(Int32(5), Int64(9))
        },
        frame {
            $0.writeJute("/a"); $0.writeJute([1]); $0.writeJute(Int32(-1))
        },
        frame {
            $0.writeJute(Int64(4)); for _ in 0..<5 { $0.writeJute(["/a", "/b/c"]) }
        },
        frame {
            for opcode: Int32 in [2, 13] {
                $0.writeJute(opcode); $0.writeJute(false); $0.writeJute(Int32(-1))
                $0.writeJute("/x"); $0.writeJute(Int32(0))
            }
            $0.writeJute(Int32(-1)); $0.writeJute(true); $0.writeJute(Int32(-1))
        },
    ]

    @Test func requestsAreDecodedOrRefused() {
        var tree = TreeMachine()
        let caller = Caller(session: 1, identities: [])
        let opcodes: [Int32] = Array(1...22) + Array(100...107) + [-11, -1, 999]
        run(Self.bodies) { bytes, generator in
            var reader = JuteReader(ByteBuffer(bytes: bytes))
            let opcode = opcodes.randomElement(using: &generator) ?? 1
            guard let request = try? Request(&reader, opcode: opcode, limits: Limits()) else { return }
            switch request {
            case .change(let change): _ = try? tree.apply(change, by: caller, time: 1)
            case .multi(let changes): _ = tree.applyAll(changes, by: caller, time: 1)
            default: break
            }
        }
        for path in tree.nodes.keys where path != "/" {
            #expect(tree.nodes[Path.parent(path)]?.children.contains(Path.name(path)) == true, "\(path) has no parent")
        }
        #expect(tree.dataBytes == tree.nodes.values.reduce(0) { $0 + $1.dataBytes })
    }

    @Test func greetingsAreDecodedOrRefused() {
        let greeting = Self.frame {
            $0.writeMultipleIntegers(Int32(0), Int64(0), Int32(30_000), Int64(0))
            $0.writeJute([UInt8](repeating: 0, count: 16))
            $0.writeJute(false)
        }
        run([greeting]) { bytes, _ in
            var reader = JuteReader(ByteBuffer(bytes: bytes))
            _ = try? Greeting(&reader)
        }
    }

    @Test func namesAndDataOfInstancesAreReadOrLeft() {
        let directories: [ViewDirectory.Layout] = [
            .dubbo(interface: "com.acme.Orders"), .application("orders"), .sofa(interface: "com.acme.Orders"),
        ]
        let samples = [
            "dubbo%3A%2F%2F10.0.0.1%3A20880%2Fcom.acme.Orders%3Fversion%3D1.0%26weight%3D50", "tri://[::1]:1?service=a",
            #"{"name":"orders","id":"a","address":"10.0.0.1","port":8080,"payload":{"@class":"x","metadata":{"a":1}}}"#,
            "bolt%3A%2F%2F10.0.0.1%3A12200%3Fversion%3D1.0%26uniqueId%3D", "/dubbo/com.acme.Orders/providers",
            "/namespaces/shop/services/orders", "/dubbo/mapping/com.acme.Orders", "/sofa-rpc/a/providers",
        ]
        run(samples.map { Array($0.utf8) }) { bytes, generator in
            let text = String(decoding: bytes, as: UTF8.self)
            if let directory = ViewDirectory(path: text), Path.isValid(text), Path.isValid(directory.path) {
                #expect(ViewDirectory(path: directory.path) == directory, "\(text)")
            }
            _ = TablePath(path: text)
            let layout = directories.randomElement(using: &generator) ?? .application("a")
            let directory = ViewDirectory(namespace: "default", layout: layout)
            guard let said = directory.instance(name: text, data: bytes, lifetime: .persistent) else { return }
            if let other = ViewDirectory(of: said.service),
                let node = other.node(of: said.instance, as: said.service, flavour: nil)
            {
                #expect(Path.isValid(node.path))
            }
        }
    }

    @Test func storedAndRestoredBytesAreDecodedOrRefused() {
        run(Self.bodies) { bytes, _ in
            var reader = JuteReader(ByteBuffer(bytes: bytes))
            _ = try? reader.accessList()
        }
    }
}
