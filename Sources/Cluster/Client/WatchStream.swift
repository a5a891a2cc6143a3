// A running watch: lines of the answer's body as events.

import Formats
import Objects
import Synchronization

/// The events of one watch, in order. Read by one task at a time; cancelling that task ends the watch.
package final class WatchStream: Sendable {
    private let source: any EventStream
    private let received = Mutex<ArraySlice<WatchEvent>>([])

    package init(_ body: Answer.Body) {
        switch body {
        case .stream(let stream): source = stream.events ?? DecodedEvents(stream)
        case .bytes(let bytes): source = DecodedEvents(WholeBody(bytes))
        }
    }

    /// The next event; nil when the server ended the watch. An ERROR event is thrown as the problem that it carries.
    package func next() async throws -> WatchEvent? {
        while true {
            if let event = received.withLock({ Self.taken(from: &$0) }) { return event }
            guard let events = try await source.nextEvents() else { return nil }
            received.withLock { $0 = events[...] }
        }
    }

    /// The first of the events; with the last one goes what held them all.
    private static func taken(from events: inout ArraySlice<WatchEvent>) -> WatchEvent? {
        defer { if events.isEmpty { events = [] } }
        return events.popFirst()
    }
}

/// The events that the bytes of a stream stand for.
private final class DecodedEvents: EventStream {
    private let source: any ByteStream
    private let decoder = Mutex(WatchDecoder())

    init(_ source: any ByteStream) { self.source = source }

    func nextEvents() async throws -> [WatchEvent]? {
        while true {
            if let event = try decoder.withLock({ try $0.next() }) { return [event] }
            guard let chunk = try await source.next() else { return nil }
            decoder.withLock { $0.received(chunk) }
        }
    }
}

/// Cuts chunks into lines and lines into events.
struct WatchDecoder: Sendable {
    /// The longest line that is held; the largest object of Kubernetes is about a tenth of it.
    static let lineLimitBytes = 16 << 20

    private var buffer: [UInt8] = []
    private var start = 0
    private var searchedTo = 0

    mutating func received(_ chunk: [UInt8]) {
        if start > 0 {
            buffer.removeSubrange(..<start)
            searchedTo -= start
            start = 0
        }
        buffer += chunk
    }

    /// The event of the next whole line; nil until one has arrived.
    mutating func next() throws -> WatchEvent? {
        while let end = buffer[searchedTo...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = buffer[start..<end]
            start = end + 1
            searchedTo = start
            if line.isEmpty { continue }
            return try Self.event(JSON(parsing: line))
        }
        searchedTo = buffer.count
        if buffer.count - start > Self.lineLimitBytes {
            throw Problem(.requestEntityTooLarge, "a watch event is longer than \(Self.lineLimitBytes) bytes")
        }
        return nil
    }

    private static func event(_ line: JSON) throws -> WatchEvent {
        let object = Object(line["object"] ?? .null)
        switch line["type"]?.string ?? "" {
        case "ADDED": return .added(object)
        case "MODIFIED": return .modified(object)
        case "DELETED": return .deleted(object)
        case "BOOKMARK": return .bookmark(resourceVersion: object.resourceVersion)
        case "ERROR": throw Problem(status: object.tree, code: object.tree["code"]?.integer ?? 500)
        case let other: throw Problem(.internalError, "the watch sent an event of unknown type \"\(other)\"")
        }
    }
}

/// A body that had already arrived.
private final class WholeBody: ByteStream {
    private let bytes: Mutex<[UInt8]?>

    init(_ bytes: [UInt8]) { self.bytes = Mutex(bytes) }

    func next() async throws -> [UInt8]? {
        bytes.withLock { bytes in
            defer { bytes = nil }
            return bytes
        }
    }
}
