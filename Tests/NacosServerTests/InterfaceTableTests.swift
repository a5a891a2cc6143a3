// Dubbo's table of interfaces, written in either place and seen in both.

import Catalogue
import Configurations
import Logging
import Testing

@testable import NacosServer
@testable import RegistrySync

@Suite struct InterfaceTableTests {
    private func eventually(_ isSo: () -> Bool) async {
        // Ends by the test's time limit.
        while !isSo(), !Task.isCancelled { try? await Task.sleep(for: .milliseconds(5)) }
    }

    @Test func whatIsStoredCountsBesideWhatWasWritten() async throws {
        let memory = MemoryBackend()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let sync = InterfaceTableSync(
            catalogue: memory.catalogue, configurations: memory.configurations, logger: logger)
        let name = ConfigName(namespace: "shop", group: "mapping", dataID: "com.acme.Orders")
        try await memory.configurations.publish(ConfigDraft(name: name, content: "shop,stock"))
        try memory.catalogue.setMapping(of: name.dataID, to: "late", in: "shop")
        sync.adopt()
        #expect(memory.catalogue.mapping(of: name.dataID, in: "shop")?.applications == ["late", "shop", "stock"])
    }

    @Test(.timeLimit(.minutes(10))) func aRowIsTheSameInBothPlaces() async throws {
        let memory = MemoryBackend()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let sync = InterfaceTableSync(
            catalogue: memory.catalogue, configurations: memory.configurations, logger: logger)
        let name = ConfigName(namespace: "default", group: "mapping", dataID: "com.acme.Orders")
        func stored() -> String? { memory.configurations.item(name)?.text?.content }
        func row() -> String? { memory.catalogue.mapping(of: name.dataID)?.text }
        try await memory.configurations.publish(ConfigDraft(name: name, content: "shop"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await sync.run() }
            await eventually { row() == "shop" }
            try memory.catalogue.setMapping(of: name.dataID, to: "shop,stock")
            await eventually { stored() == "shop,stock" }
            try await memory.configurations.publish(ConfigDraft(name: name, content: "stock"))
            await eventually { row() == "stock" }
            try memory.catalogue.removeMapping(of: name.dataID)
            await eventually { stored() == nil }
            #expect(stored() == nil && row() == nil)
            group.cancelAll()
        }
    }
}
