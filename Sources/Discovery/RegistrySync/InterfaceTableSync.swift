// Dubbo's configuration and the catalogue's tables are the same: Nacos' group `mapping` and the documents of revisions.

import Catalogue
import Client
import Configurations
import Frameworks
import Logging
import Reconciling
import Synchronization

/// Which applications a row names, brought together from the two places that a writer may have changed.
enum MappingMerge {
    /// The row that both places should show; nil when it should be gone. `base` is what both showed last.
    static func merged(base: String?, _ left: String?, _ right: String?) -> String? {
        guard let base else {
            guard let left else { return right }
            guard let right else { return left }
            return left == right ? left : joined(names(left) + names(right).filter { !names(left).contains($0) })
        }
        if left == base { return right }
        if right == base || left == right { return left }
        // Both changed: what either added is there, and what either removed is not.
        let (old, first, second) = (names(base), names(left ?? ""), names(right ?? ""))
        let kept = old.filter { first.contains($0) && second.contains($0) }
        let added = first.filter { !old.contains($0) } + second.filter { !old.contains($0) && !first.contains($0) }
        return kept.isEmpty && added.isEmpty ? nil : joined(kept + added)
    }

    private static func names(_ text: String) -> [String] {
        text.split(separator: ",").map { String($0.filter { !$0.isWhitespace }) }.filter { !$0.isEmpty }
    }

    private static func joined(_ names: [String]) -> String { names.joined(separator: ",") }
}

/// Keeps the table of interfaces the same in the catalogue, where ZooKeeper's clients write it, and in configuration,
/// where Nacos' do, where it is stored, and where every replica of a platform sees it; and tells the catalogue of the
/// documents that applications publish. What ZooKeeper's clients have written before a kill and this not yet, is among
/// their znodes.
struct InterfaceTableSync: Sendable {
    /// Changes of the table are gathered for so long.
    static let window: Duration = .milliseconds(100)

    let catalogue: ServiceCatalogue
    let configurations: any ConfigStore
    let logger: Logger

    /// Puts what is stored into the catalogue, beside what has been written there already. Before it counts as
    /// complete.
    func adopt() {
        for item in configurations.items(namespace: nil) {
            guard item.name.group == ServiceName.mappingGroup else {
                publish(item.name)
                continue
            }
            guard let text = item.text?.content else { continue }
            let row = InterfaceMapping(interface: item.name.dataID, text: text, version: 0)
            do throws(CatalogueProblem) {
                try catalogue.adopt(row, in: item.name.namespace)
            } catch {
                logger.error(
                    "a row of Dubbo's table of interfaces was not taken back",
                    metadata: ["interface": "\(row.interface)", "error": "\(error)"])
            }
        }
    }

    /// Follows both until cancelled.
    func run() async {
        let items = configurations.changes()
        let table = catalogue.changes(coalescedOver: Self.window)
        await configurations.waitUntilComplete()
        let shown = Mutex<[ServiceName: String]>([:])
        let rows = Reconciler<ServiceName>(name: "dubbo-mapping", workers: 1, logger: logger) { row in
            try await bring(row, shown: shown.withLock { $0[row] }) { text in shown.withLock { $0[row] = text } }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await rows.run() }
            group.addTask {
                for item in configurations.items(namespace: nil) { follow(item.name, rows) }
                while let changes = await items.next() {
                    switch changes {
                    case .names(let names): for name in names { follow(name, rows) }
                    case .everything: for item in configurations.items(namespace: nil) { follow(item.name, rows) }
                    }
                }
            }
            group.addTask {
                enqueueTable(rows)
                while let changes = await table.next() {
                    guard case .names(let services) = changes else {
                        enqueueTable(rows)
                        continue
                    }
                    for service in services where service.mappedInterface != nil { rows.enqueue(service) }
                }
            }
            await group.waitForAll()
        }
    }

    private func enqueueTable(_ rows: Reconciler<ServiceName>) {
        for namespace in catalogue.mappingNamespaces() {
            for row in catalogue.mappings(in: namespace) { rows.enqueue(.mapping(of: row.interface, in: namespace)) }
        }
    }

    private func follow(_ name: ConfigName, _ rows: Reconciler<ServiceName>) {
        if name.group == ServiceName.mappingGroup {
            return rows.enqueue(ServiceName.mapping(of: name.dataID, in: name.namespace))
        }
        publish(name)
    }

    private func publish(_ name: ConfigName) {
        guard let content = configurations.item(name)?.text?.content else {
            return catalogue.unpublish(revision: name.group, of: name.dataID, in: name.namespace)
        }
        guard content.hasPrefix("{"), let revision = DubboRevision(content), revision.application == name.dataID,
            revision.revision == name.group
        else { return }
        do throws(CatalogueProblem) {
            try catalogue.publish(revision, in: name.namespace)
        } catch {
            logger.warning(
                "a Dubbo application's document is not used",
                metadata: [
                    "item": "\(name)", "error": "\(error)",
                ])
        }
    }

    /// Brings one row together; `note` is told what both places show then.
    private func bring(
        _ row: ServiceName, shown base: String?, _ note: (String?) -> Void
    ) async throws -> Outcome {
        let name = ConfigName(namespace: row.namespace, group: row.group, dataID: row.name)
        let stored = configurations.item(name)?.text
        let mapping = catalogue.mapping(of: row.name, in: row.namespace)
        let merged = MappingMerge.merged(base: base, stored?.content, mapping?.text)
        if merged != mapping?.text {
            let condition = mapping.map { MappingCondition.version($0.version) } ?? .absent
            if let merged {
                try catalogue.setMapping(of: row.name, to: merged, in: row.namespace, when: condition)
            } else {
                try catalogue.removeMapping(of: row.name, in: row.namespace, when: condition)
            }
        }
        if merged != stored?.content {
            do throws(ConfigProblem) {
                try await store(merged, as: name, over: stored)
            } catch {
                // Where nothing can be kept the table alone has it.
                if error != .noNamespace(name.namespace) { throw error }
            }
        }
        note(merged)
        return .done
    }

    private func store(_ text: String?, as name: ConfigName, over stored: ConfigText?) async throws(ConfigProblem) {
        guard let text else {
            _ = try await configurations.remove(name, .everyone, by: ConfigDetails())
            return
        }
        var draft = ConfigDraft(name: name, content: text)
        draft.expectedMD5 = stored?.md5
        try await configurations.publish(draft)
    }
}
