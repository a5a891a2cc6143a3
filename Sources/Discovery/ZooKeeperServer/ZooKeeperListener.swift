// The ZooKeeper interface of the catalogue, as one service to run.

import Catalogue
import Formats
import Logging
import NIO
import Objects

/// Serves real ZooKeeper clients from the catalogue and from what is stored in a directory.
package struct ZooKeeperListener: Sendable {
    private let catalogue: ServiceCatalogue
    private let directory: String
    private let addresses: [ListenAddress]
    private let limits = Limits()
    private let board = MonitorBoard()
    private let logger: Logger
    private let onListening: @Sendable () async -> Void

    /// `onListening` is called once when every address is bound. `directory` is made when it is not there.
    package init(
        catalogue: ServiceCatalogue, directory: String, addresses: [ListenAddress], logger: Logger,
        onListening: @escaping @Sendable () async -> Void = {}
    ) {
        self.catalogue = catalogue
        self.directory = directory
        self.addresses = addresses
        self.logger = logger
        self.onListening = onListening
    }

    /// Changes of a service are shown at most once in this time.
    static let viewWindow: Duration = .milliseconds(20)

    /// What `mntr` told at the last look.
    package func writeMetrics(to text: inout MetricsText) { board.write(to: &text) }

    /// Serves until cancelled. Throws a Problem when what is stored cannot be read, an address cannot be bound, or
    /// nothing can be written any more.
    package func run() async throws {
        let (file, state) = try StateFile.open(in: directory)
        defer { file.close() }
        let owner = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let disk = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            try await serve(file, state, on: owner, disk: disk.next())
        } catch {
            try? await owner.shutdownGracefully()
            try? await disk.shutdownGracefully()
            throw error
        }
        try await owner.shutdownGracefully()
        try await disk.shutdownGracefully()
    }

    private func serve(
        _ file: StateFile, _ state: StoredState, on group: MultiThreadedEventLoopGroup, disk: any EventLoop
    ) async throws {
        let loop = group.next()
        let failure = loop.makePromise(of: Void.self)
        let keeper = try await loop.submit { [limits, logger] in
            NIOLoopBound(
                Keeper(
                    file: file, state: state, loop: loop, disk: disk, limits: limits, logger: logger, failure: failure),
                eventLoop: loop)
        }.get()
        // Registrations that were stored are there before anything is taken for missing; then the others' are shown.
        try await loop.submit { [catalogue, board, logger] in
            let views = CatalogueViews(catalogue: catalogue, logger: logger)
            views.begin(with: keeper.value.tree)
            keeper.value.views = views
            keeper.value.board = board
            board.note(keeper.value.facts)
        }.get()
        catalogue.sourceSynced(.zookeeper)
        let feed = catalogue.changes(coalescedOver: Self.viewWindow)
        await catalogue.waitUntilComplete()
        try await loop.submit { keeper.value.views?.refresh(.everything, in: keeper.value) }.get()
        let channels = try await listen(group, keeper)
        loop.scheduleRepeatedTask(
            initialDelay: .milliseconds(SessionMachine.lookMilliseconds),
            delay: .milliseconds(SessionMachine.lookMilliseconds)
        ) { _ in keeper.value.timePassed() }
        await onListening()
        let ending: Result<Void, any Error>
        do {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask {
                    while let changes = await feed.next() {
                        try await loop.submit { keeper.value.views?.refresh(changes, in: keeper.value) }.get()
                    }
                }
                tasks.addTask {
                    try await withTaskCancellationHandler {
                        try await failure.futureResult.get()
                    } onCancel: {
                        failure.succeed()
                    }
                }
                defer { tasks.cancelAll() }
                try await tasks.next()
            }
            ending = .success(())
        } catch {
            ending = .failure(error)
        }
        for channel in channels { try? await channel.close() }
        let stopped = loop.makePromise(of: Void.self)
        loop.execute { keeper.value.stop(stopped) }
        try? await stopped.futureResult.get()
        try ending.get()
    }

    private func listen(_ group: MultiThreadedEventLoopGroup, _ keeper: NIOLoopBound<Keeper>) async throws
        -> [any Channel]
    {
        var channels: [any Channel] = []
        let mark = ChannelOptions.Types.WriteBufferWaterMark(low: limits.outboundBytes / 2, high: limits.outboundBytes)
        for address in addresses {
            do {
                let channel = try await ServerBootstrap(group: group)
                    .serverChannelOption(.backlog, value: 1_024)
                    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                    .childChannelOption(.writeBufferWaterMark, value: mark)
                    .childChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(ConnectionHandler(keeper.value))
                        }
                    }
                    .bind(host: address.host, port: address.port).get()
                channels.append(channel)
            } catch {
                for channel in channels { try? await channel.close() }
                throw Problem(.serviceUnavailable, "ZooKeeper cannot listen on \(address): \(error)")
            }
        }
        return channels
    }
}
