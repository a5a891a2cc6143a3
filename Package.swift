// swift-tools-version:6.1
// The table of rooms: every room, the floor it stands on, and what it may use. Tests/Architecture holds sources to it.
import PackageDescription

// Rooms whose code is plain values and pure machines use nothing but other rooms; parts name the outside packages.
let rooms: [Target] = [
    room("Formats", in: "Core", parts: .yams),
    room("Objects", in: "Core", uses: "Formats"),
    room("Timing", in: "Core"),
    room("Compression", in: "Core", parts: .compression),

    // Files of rooms on two floors that may not use each other.
    room("SQLite", uses: "Objects", parts: .sqlite),

    room("Storage", in: "Cluster", uses: "Formats", "Objects", "Timing", "SQLite", parts: .log),
    room("Watching", in: "Cluster", uses: "Formats", "Objects", "Timing", "Storage"),
    room("Access", in: "Cluster", uses: "Formats", "Objects", parts: .x509, .crypto, .log),
    room("RemoteStreams", in: "Cluster", uses: "Formats", "Objects", parts: .nio),
    room("CustomResources", in: "Cluster", uses: "Formats", "Objects"),
    room("APIServer", in: "Cluster", uses: "Formats", "Objects", "Timing", "Storage", "Watching", "Access", "RemoteStreams",
         "CustomResources", "Compression",
         parts: .hummingbirdCore, .hummingbirdHTTP2, .httpTypes, .asyncHTTPClient, .crypto, .nio, .nioWebSocket,
         .nioSSL, .log),
    room("Client", in: "Cluster", uses: "Formats", "Objects", "Timing",
         parts: .httpTypes, .asyncHTTPClient, .nio, .nioSSL, .log),
    room("Reconciling", in: "Cluster", uses: "Formats", "Objects", "Timing", "Client", parts: .log),
    room("Controllers", in: "Cluster", uses: "Formats", "Objects", "Timing", "Client", "Reconciling", parts: .log),
    room("Scheduling", in: "Cluster", uses: "Formats", "Objects", "Timing", "Client", "Reconciling", parts: .log),
    room("ContainerRuntimes", in: "Cluster", uses: "Formats", "Objects", "Timing", "RemoteStreams", "CLinux",
         parts: .nio, .log),
    room("PodNetwork", in: "Cluster", uses: "Formats", "Objects", "Timing", "Client", "Reconciling", "CLinux", parts: .log),
    room("NodeAgent", in: "Cluster",
         uses: "Formats", "Objects", "Timing", "Client", "Reconciling", "RemoteStreams", "ContainerRuntimes", "PodNetwork",
         parts: .asyncHTTPClient, .grpc, .grpcNIO, .nio, .log),

    room("Frameworks", in: "Discovery", uses: "Formats"),
    room("Listening", in: "Discovery", parts: .nio),
    room("HTTPServing", in: "Discovery", uses: "Formats", "Listening", parts: .nio, .nioHTTP1),
    room("GRPCServing", in: "Discovery", uses: "Listening", parts: .nio, .nioHTTP2, .nioHPACK),
    room("Catalogue", in: "Discovery", uses: "Formats", "Timing", "Frameworks"),
    room("Configurations", in: "Discovery", uses: "Formats", "Objects", "Timing", "Client", "Reconciling",
         parts: .crypto, .log),
    room("NacosServer", in: "Discovery",
         uses: "Formats", "Objects", "Timing", "Compression", "Client", "Reconciling", "Frameworks", "Catalogue",
         "Configurations", "HTTPServing", "GRPCServing",
         parts: .nio, .nioHTTP1, .crypto, .log),
    room("EurekaServer", in: "Discovery", uses: "Formats", "Timing", "Compression", "Frameworks", "Catalogue",
         "HTTPServing", parts: .log),
    room("DNSServer", in: "Discovery", uses: "Formats", "Objects", "Timing", "Client", "Reconciling", parts: .nio, .log),
    room("ZooKeeperServer", in: "Discovery", uses: "Formats", "Objects", "Timing", "SQLite", "Frameworks",
         "Catalogue", parts: .nio, .crypto, .log),
    room("RegistrySync", in: "Discovery",
         uses: "Formats", "Objects", "Timing", "Client", "Reconciling", "Frameworks", "Catalogue", "Configurations",
         parts: .log),

    room("Rollouts", in: "Delivery",
         uses: "Formats", "Objects", "Timing", "Client", "Reconciling", "Catalogue", parts: .log),

    room("Platform",
         uses: "Formats", "Objects", "Timing", "Storage", "Watching", "Access", "APIServer", "Client", "Reconciling",
         "Controllers", "Scheduling", "RemoteStreams", "ContainerRuntimes", "PodNetwork", "NodeAgent", "Catalogue",
         "Configurations", "HTTPServing", "NacosServer", "EurekaServer", "ZooKeeperServer", "DNSServer", "RegistrySync",
         "Rollouts",
         parts: .crypto, .httpTypes, .nio, .unixSignals, .log),
    room("Commands", uses: "Formats", "Objects", "Access", "Client", "ContainerRuntimes", "PodNetwork", "Platform",
         parts: .argumentParser, .nio, .log),
    .target(name: "CLinux", path: "Sources/Cluster/CLinux", exclude: ["README.md"]),
    .executableTarget(name: "mangrove", dependencies: ["Commands", "ContainerRuntimes"], path: "Sources/mangrove"),
]

let tests: [Target] = [
    // Seeded randomness and mutated input, for every suite that needs them.
    .target(name: "Fuzzing", path: "Tests/Fuzzing"),
    suite("Core", of: "Fuzzing", "Formats", "Objects", "Timing"),
    suite("Storage", of: "Fuzzing", "Formats", "Objects", "Timing", "Storage", "Watching", parts: .log),
    suite("CustomResources", of: "Formats", "Objects", "CustomResources"),
    suite("APIServer", of: "Formats", "Objects", "Timing", "Storage", "Watching", "Access", "CustomResources",
          "APIServer", "Client", parts: .httpTypes, .nio, .x509, .crypto, .log),
    suite("Reconciling", of: "Formats", "Objects", "Timing", "Client", "Reconciling", parts: .httpTypes, .nio, .log),
    suite("Controllers", of: "Formats", "Objects", "Timing", "Storage", "Watching", "Access", "APIServer", "Client",
          "Reconciling", "Controllers", "Scheduling", parts: .httpTypes, .log),
    suite("RemoteStreams", of: "Formats", "Objects", "RemoteStreams"),
    suite("ContainerRuntimes", of: "Formats", "Objects", "Timing", "RemoteStreams", "ContainerRuntimes", "CLinux",
          parts: .log),
    suite("PodNetwork", of: "Formats", "Objects", "Timing", "Client", "Reconciling", "PodNetwork", "CLinux",
          parts: .httpTypes, .log),
    suite("NodeAgent", of: "Formats", "Objects", "Timing", "Client", "Reconciling", "ContainerRuntimes", "PodNetwork",
          "NodeAgent", parts: .httpTypes, .nio, .log),
    suite("Catalogue", of: "Fuzzing", "Formats", "Timing", "Frameworks", "Catalogue"),
    suite("HTTPServing", of: "Formats", "HTTPServing", parts: .nio, .nioHTTP1),
    suite("GRPCServing", of: "Fuzzing", "GRPCServing", parts: .nio, .nioHTTP2, .nioHPACK),
    suite("NacosServer", of: "Fuzzing", "Formats", "Objects", "Timing", "Client", "Reconciling", "Frameworks",
          "Catalogue", "Configurations", "HTTPServing", "GRPCServing", "NacosServer", "RegistrySync",
          parts: .nio, .nioHTTP1, .log),
    suite("EurekaServer", of: "Fuzzing", "Formats", "Frameworks", "Catalogue", "HTTPServing", "EurekaServer"),
    suite("ZooKeeperServer", of: "Fuzzing", "Formats", "Objects", "Frameworks", "Catalogue", "ZooKeeperServer",
          parts: .nio, .log),
    suite("DNSServer", of: "Fuzzing", "Formats", "Objects", "Timing", "Client", "Reconciling", "DNSServer",
          parts: .nio, .log),
    suite("RegistrySync", of: "Formats", "Objects", "Timing", "Client", "Reconciling", "Frameworks", "Catalogue",
          "Configurations", "RegistrySync", "Rollouts", parts: .httpTypes, .log),
    suite("Platform", of: "Formats", "Objects", "Timing", "Client", "Reconciling", "Access", "APIServer", "Platform",
          "Commands", parts: .httpTypes, .nio, .log),
    .testTarget(name: "ArchitectureTests", path: "Tests/Architecture"),
    // Measures the catalogue without an interface in between; `make bench-catalogue`.
    .executableTarget(name: "catalogue-bench", dependencies: ["Catalogue", "Frameworks"], path: "Benchmarks/Catalogue"),
    // A program for tests to kill: it has the store open and writes without pause.
    .executableTarget(name: "store-under-load", dependencies: ["Fuzzing", "Storage", "Watching"] + [Part.log.product],
                      path: "Tests/StoreUnderLoad"),
]

let package = Package(
    name: "mangrove",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "mangrove", targets: ["mangrove"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-certificates.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", "3.10.0"..<"5.0.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.3.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.80.0"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.20.0"),
        .package(url: "https://github.com/apple/swift-nio-http2.git", from: "1.40.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.29.0"),
        .package(url: "https://github.com/groue/GRDB.swift.git", from: "7.0.0"),
        .package(url: "https://github.com/grpc/grpc-swift-2.git", from: "2.0.0"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport.git", from: "2.0.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.8.0", traits: []),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.0.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.24.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.6.0"),
    ],
    targets: rooms + tests,
    swiftLanguageModes: [.v6]
)

/// A room: a target of its own folder, named after it. It may import what its row names and nothing else of this package.
func room(_ name: String, in floor: String? = nil, uses: String..., parts: Part...) -> Target {
    .target(
        name: name,
        dependencies: uses.map { .init(stringLiteral: $0) } + parts.map(\.product),
        path: "Sources/" + (floor.map { $0 + "/" } ?? "") + name,
        exclude: ["README.md"]
    )
}

/// The tests of a room and of its nearest neighbours; all suites share one runner, so there are few of them.
func suite(_ name: String, of uses: String..., parts: Part...) -> Target {
    .testTarget(
        name: name + "Tests",
        dependencies: uses.map { .init(stringLiteral: $0) } + parts.map(\.product),
        path: "Tests/\(name)Tests"
    )
}

/// An outside package's product, by the name it goes by in the table.
struct Part {
    let product: Target.Dependency
    init(_ name: String, _ package: String) { product = .product(name: name, package: package) }

    static var argumentParser: Part { Part("ArgumentParser", "swift-argument-parser") }
    static var asyncHTTPClient: Part { Part("AsyncHTTPClient", "async-http-client") }
    /// For zlib, which it carries.
    static var compression: Part { Part("NIOHTTPCompression", "swift-nio-extras") }
    static var crypto: Part { Part("Crypto", "swift-crypto") }
    static var grpc: Part { Part("GRPCCore", "grpc-swift-2") }
    static var grpcNIO: Part { Part("GRPCNIOTransportHTTP2Posix", "grpc-swift-nio-transport") }
    static var httpTypes: Part { Part("HTTPTypes", "swift-http-types") }
    static var hummingbirdCore: Part { Part("HummingbirdCore", "hummingbird") }
    static var hummingbirdHTTP2: Part { Part("HummingbirdHTTP2", "hummingbird") }
    static var unixSignals: Part { Part("UnixSignals", "swift-service-lifecycle") }
    static var log: Part { Part("Logging", "swift-log") }
    static var nio: Part { Part("NIO", "swift-nio") }
    static var nioHTTP1: Part { Part("NIOHTTP1", "swift-nio") }
    static var nioHTTP2: Part { Part("NIOHTTP2", "swift-nio-http2") }
    static var nioHPACK: Part { Part("NIOHPACK", "swift-nio-http2") }
    static var nioWebSocket: Part { Part("NIOWebSocket", "swift-nio") }
    static var nioSSL: Part { Part("NIOSSL", "swift-nio-ssl") }
    /// Only the C library: its Swift layer would bring Foundation and its `Data` into every blob.
    static var sqlite: Part { Part("GRDBSQLite", "GRDB.swift") }
    static var x509: Part { Part("X509", "swift-certificates") }
    static var yams: Part { Part("Yams", "Yams") }
}
