// Get and list.

import Formats
import Objects
import Storage

extension KubernetesAPI {
    /// The object that a call names, or 404.
    func existing(_ call: APICall) throws -> (object: Object, record: Record) {
        let name = call.name ?? ""
        guard let found = try records.get(call.resource, namespace: call.namespace, name: name) else {
            throw Problem.notFound(call.resource, name)
        }
        return found
    }

    /// Answers a GET: with the stored bytes, where they are what was asked for. Custom resources, and objects that are
    /// stored in another version, are read and written anew.
    func shown(_ call: APICall) throws -> APIAnswer {
        let presentation = try call.presentation()
        let key = ObjectRecords.key(call.resource, namespace: call.namespace, name: call.name ?? "")
        if presentation.isStored, !StoredVersions.needConversion(call.resource), let record = records.store.get(key) {
            return .bytes(record.bytes)
        }
        return try call.answer(with: existing(call).object, api: self)
    }

    /// A page of a list; the whole list where no limit was given.
    func list(_ call: APICall) throws -> APIAnswer {
        let presentation = try call.presentation()
        let options = try ListOptions(call.query, selectable: call.strategy.selectableFields)
        let page = try selectedPage(call, options)
        var metadata: JSON = ["resourceVersion": .string(String(page.revision))]
        if let continuation = page.continuation { metadata["continue"] = .string(continuation.text) }
        if page.continuation != nil, !options.hasSelector { metadata["remainingItemCount"] = JSON(page.remaining) }
        switch presentation.representation {
        case .object:
            let head: JSON = [
                "kind": .string(call.resource.kind + "List"), "apiVersion": .string(call.resource.apiVersion),
                "metadata": metadata,
            ]
            if !presentation.isStored || StoredVersions.needConversion(call.resource) {
                var tree = head
                tree["items"] = .array(
                    try page.records.map { try ObjectRecords.object(of: $0, as: call.resource).tree })
                return .rendered(tree, presentation)
            }
            return .bytes(ListBytes.splice(head, page.records))
        case .partialMetadata:
            let items = try page.records.map {
                PartialMetadata.tree(of: try ObjectRecords.object(of: $0, as: call.resource))
            }
            let tree: JSON = [
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "items": .array(items),
            ]
            return .rendered(tree, presentation)
        case .table(let include):
            let objects = try page.records.map { try ObjectRecords.object(of: $0, as: call.resource) }
            let table = call.served.printer.table(
                of: objects, metadata: metadata, include: include, now: environment.now())
            return .rendered(table, presentation)
        }
    }

    /// What a page of a list holds.
    struct SelectedPage {
        var records: [Record] = []
        var revision: UInt64
        var remaining = 0
        var continuation: Continuation?
    }

    /// Reads records until as many are selected as the limit asks for.
    func selectedPage(_ call: APICall, _ options: ListOptions) throws -> SelectedPage {
        let prefix = ObjectRecords.prefix(call.resource, namespace: call.namespace)
        var revision = try revisionToRead(options)
        var after = options.continuation.map { prefix + $0.start }
        var selected = SelectedPage(revision: revision ?? 0)
        while true {
            let wanted = options.limit.map { $0 - selected.records.count }
            let limit = options.hasSelector ? limits.scannedObjects : wanted
            let page = try page(prefix: prefix, after: after, limit: limit, at: revision)
            revision = page.revision
            selected.revision = page.revision
            for (position, record) in page.records.enumerated() {
                after = record.key
                if options.hasSelector {
                    guard !options.rulesOut(record),
                        options.matches(try ObjectRecords.object(of: record, as: call.resource), by: call.strategy)
                    else { continue }
                }
                selected.records.append(record)
                guard let limit = options.limit, selected.records.count == limit else { continue }
                selected.remaining = page.remaining + page.records.count - position - 1
                if selected.remaining > 0 {
                    selected.continuation = Continuation(
                        revision: page.revision, start: String(record.key.dropFirst(prefix.count)))
                }
                return selected
            }
            if page.remaining == 0 { return selected }
        }
    }

    /// A page of the store. A continuation whose revision is forgotten gets a fresh token that reads on in the newest
    /// state.
    private func page(prefix: String, after: String?, limit: Int?, at revision: UInt64?) throws -> Page {
        do throws(Problem) {
            return try records.store.page(prefix: prefix, after: after, limit: limit, at: revision)
        } catch {
            guard error.reason == .expired else { throw error }
            guard let after else {
                throw Problem(.expired, "The resourceVersion for the provided list is too old.")
            }
            let problem = Problem(
                .expired,
                "The provided continue parameter is too old to display a consistent list result. You "
                    + "can start a new list "
                    + "without the continue parameter, or use the continue token in this response to "
                    + "retrieve the remainder "
                    + "of the results. Continuing with the provided token results in an inconsistent "
                    + "list - objects that were "
                    + "created, modified, or deleted between the time the first chunk was returned and "
                    + "now may show up in the "
                    + "list.")
            let fresh = Continuation(revision: 0, start: String(after.dropFirst(prefix.count)))
            throw ExpiredList(problem: problem, continuation: fresh)
        }
    }

    /// Which revision a list shows: nil for the newest.
    private func revisionToRead(_ options: ListOptions) throws(Problem) -> UInt64? {
        if let continuation = options.continuation { return continuation.revision == 0 ? nil : continuation.revision }
        guard let revision = options.revision, revision > 0 else { return nil }
        let current = records.store.revision
        if revision > current {
            var problem = Problem(.timeout, "Timeout: Too large resource version: \(revision), current: \(current)")
            problem.causes = [
                .init(reason: "ResourceVersionTooLarge", message: "Too large resource version", field: "")
            ]
            problem.retryAfterSeconds = 1
            throw problem
        }
        let isExact = options.match == .exact || (options.match == nil && options.limit != nil)
        return isExact ? revision : nil
    }
}

/// A list whose revision is forgotten, with the token to read on in the newest state.
struct ExpiredList: Error {
    var problem: Problem
    var continuation: Continuation

    var answer: APIAnswer {
        var tree = problem.status
        tree["metadata", "continue"] = .string(continuation.text)
        return .bytes(tree.bytes, code: problem.code)
    }
}

/// Lists as bytes, made of the stored bytes of their items.
enum ListBytes {
    static func splice(_ head: JSON, _ records: [Record]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(records.reduce(256) { $0 + $1.bytes.count + 1 })
        head.write(to: &bytes)
        bytes.removeLast()
        bytes.append(contentsOf: ",\"items\":[".utf8)
        for (position, record) in records.enumerated() {
            if position > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: record.bytes)
        }
        bytes.append(contentsOf: "]}".utf8)
        return bytes
    }
}
