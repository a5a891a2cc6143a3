// Services, slices and queries that the suites share.

import Formats
import NIO
import Objects

@testable import DNSServer

enum Samples {
    static let domain = DomainName("cluster.local")!

    static func service(_ name: String, in namespace: String = "shop", _ spec: JSON) -> Object {
        var service = Object(.services, namespace: namespace, name: name)
        service.spec = spec
        return service
    }

    static func slice(
        of service: String, in namespace: String = "shop", family: String = "IPv4", _ endpoints: [JSON],
        ports: JSON = [["name": "http", "port": 8080]]
    ) -> Object {
        var slice = Object(.endpointSlices, namespace: namespace, name: service + "-" + family.lowercased())
        slice.labels = ["kubernetes.io/service-name": service]
        slice["addressType"] = .string(family)
        slice["endpoints"] = .array(endpoints)
        slice["ports"] = ports
        return slice
    }

    static func endpoint(_ addresses: String..., hostname: String? = nil, ready: Bool? = true) -> JSON {
        var endpoint: JSON = ["addresses": .array(addresses.map { .string($0) })]
        if let hostname { endpoint["hostname"] = .string(hostname) }
        if let ready { endpoint["conditions"] = ["ready": .bool(ready)] }
        return endpoint
    }

    static func machine(serial: UInt32 = 0) -> ZoneMachine {
        ZoneMachine(domain: domain, serverAddresses: [IPAddress("10.96.0.10")!], serial: serial, seed: 7)
    }

    /// A zone of these services.
    static func zone(_ services: [(service: Object, slices: [Object])]) -> Zone {
        var machine = machine()
        for each in services { machine.changed(each.service.key, to: each.service, slices: each.slices) }
        return machine.zone()
    }

    static func query(
        _ name: String, _ type: RecordType = .a, extension: Extension? = nil, recursion: Bool = true,
        id: UInt16 = 0x1234
    ) -> [UInt8] {
        MessageWriter.bytes(
            Message(
                id: id, isRecursionDesired: recursion, questions: [Question(name: DomainName(name)!, type: type)],
                extension: `extension`))
    }
}

/// The text of every record in a form that tests can name: `orders.shop.svc.cluster.local. 5 A 10.96.0.20`.
extension Message {
    func lines(_ records: [ResourceRecord]) -> [String] { records.map(\.line) }
    var answerLines: [String] { answers.map(\.line) }
}

extension ResourceRecord {
    var line: String {
        let text =
            switch data {
            case .address(let address): address.description
            case .ns(let name), .cname(let name), .ptr(let name): name.description
            case .soa(let soa): "\(soa.server) \(soa.mailbox) \(soa.negativeSeconds)"
            case .srv(let priority, let weight, let port, let target): "\(priority) \(weight) \(port) \(target)"
            case .txt(let texts): texts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
            case .other(_, let bytes): "\(bytes)"
            }
        return "\(name) \(timeToLiveSeconds) \(data.type.label) \(text)"
    }
}

extension Responder {
    /// The answer to a query as a value; nil when it goes elsewhere.
    func ask(_ bytes: [UInt8], limitBytes: Int = MessageWriter.streamLimitBytes, rotation: Int = 0) throws -> Message? {
        guard case .query(let query) = Query.read(bytes),
            case .answer(let buffer, _) = resolve(query, limitBytes: limitBytes, rotation: rotation)
        else { return nil }
        return try MessageReader.message(Array(buffer.readableBytesView))
    }
}
