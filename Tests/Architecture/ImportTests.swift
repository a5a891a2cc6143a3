// Rooms import only what their row of Package.swift names; SwiftPM itself lets transitive imports pass.

import Testing

@Suite struct ImportTests {
    @Test func theTableIsRead() {
        #expect(SourceTree.rooms.count >= 20)
        #expect(SourceTree.rooms.contains { $0.name == "Controllers" && $0.uses.contains("Client") })
    }

    @Test func roomsImportOnlyWhatTheirRowNames() {
        let names = Set(SourceTree.rooms.map(\.name)).union(["CLinux"])
        for file in SourceTree.sources {
            guard let row = SourceTree.rooms.first(where: { $0.name == file.room }) else { continue }
            for module in imports(of: file) where names.contains(module) {
                #expect(row.uses.contains(module), "\(file.path) imports \(module), which its row does not name")
            }
        }
    }

    /// The walls that a row must never open, whatever is convenient.
    @Test func floorsKeepTheirWalls() {
        func row(_ name: String) -> Set<String> { SourceTree.rooms.first { $0.name == name }?.uses ?? [] }
        for room in SourceTree.rooms where room.name != "Commands" {
            #expect(!room.uses.contains("Platform"), "\(room.name) uses Platform")
        }
        for room in SourceTree.rooms where !["APIServer", "Watching", "Platform"].contains(room.name) {
            #expect(!room.uses.contains("Storage"), "\(room.name) goes round the API server to Storage")
        }
        let cluster: Set<String> = [
            "Storage", "Watching", "Access", "APIServer", "Controllers", "Scheduling", "NodeAgent", "ContainerRuntimes",
            "PodNetwork", "CLinux",
        ]
        let discovery = [
            "Frameworks", "Catalogue", "Configurations", "NacosServer", "EurekaServer", "ZooKeeperServer", "DNSServer",
            "RegistrySync", "Listening", "HTTPServing", "GRPCServing",
        ]
        for name in discovery + ["Rollouts"] {
            #expect(
                row(name).isDisjoint(with: cluster), "\(name) uses a Cluster room other than Client and Reconciling")
        }
        for name in ["Formats", "Objects", "Timing", "Frameworks"] {
            let parts = SourceTree.rooms.first { $0.name == name }?.parts ?? []
            #expect(parts.isDisjoint(with: ["nio", "nioSSL", "hummingbird", "grpc"]), "\(name) is Core and uses NIO")
        }
    }

    @Test func foundationStaysInFormats() {
        for file in SourceTree.sources where file.room != "Formats" {
            for module in imports(of: file) {
                #expect(!module.hasPrefix("Foundation"), "\(file.path) imports \(module)")
            }
        }
    }

    private func imports(of file: SourceFile) -> [String] {
        file.text.matches(
            of:
                /(?m)^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:package|public|internal|private|fileprivate)\s+)?import\s+(?:(?:struct|class|enum|func|protocol|typealias|var|let)\s+)?(\w+)/
        )
        .map { String($0.1) }
    }
}
