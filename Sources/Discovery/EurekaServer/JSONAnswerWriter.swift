// Eureka's JSON (`com.netflix.discovery.converters.EurekaJacksonCodec`).

import Formats

/// Appends to `output`. A single application or instance is an array too, as Jackson writes it.
struct JSONAnswerWriter {
    let isCompact: Bool
    private(set) var output: [UInt8] = []

    init(isCompact: Bool) {
        self.isCompact = isCompact
        // About what one instance needs.
        output.reserveCapacity(1_024)
    }

    /// `{"name":…}`.
    mutating func enveloped(_ name: String, _ write: (inout JSONAnswerWriter) -> Void) {
        raw("{")
        member(name)
        write(&self)
        raw("}")
    }

    mutating func write(_ source: ApplicationSource) {
        raw("{\"versions__delta\":")
        JSONText.append(String(source.version), to: &output)
        raw(",\"apps__hashcode\":")
        JSONText.append(source.hashCode, to: &output)
        raw(",\"application\":[")
        for (position, name) in source.names.enumerated() {
            if position > 0 { raw(",") }
            write(name, source.instances(name))
        }
        raw("]}")
    }

    mutating func write(_ name: String, _ instances: [InstanceInfo]) {
        raw("{\"name\":")
        JSONText.append(name, to: &output)
        raw(",\"instance\":[")
        for (position, info) in instances.enumerated() {
            if position > 0 { raw(",") }
            write(info)
        }
        raw("]}")
    }

    mutating func write(_ info: InstanceInfo) { write(InstanceField.fields(of: info, compact: isCompact)) }

    mutating func write(_ fields: [InstanceField]) {
        raw("{")
        for (position, field) in fields.enumerated() {
            if position > 0 { raw(",") }
            write(field)
        }
        raw("}")
    }

    private mutating func write(_ field: InstanceField) {
        switch field {
        case .text(let name, let text):
            member(name)
            JSONText.append(text, to: &output)
        case .number(let name, let number):
            member(name)
            JSONText.append(Int64(number), to: &output)
        case .overridden(let status):
            // Clients before 1.9 read the first spelling, those since the second (Netflix/eureka#1051).
            member("overriddenstatus")
            JSONText.append(status.rawValue, to: &output)
            raw(",")
            member("overriddenStatus")
            JSONText.append(status.rawValue, to: &output)
        case .port(let name, let port):
            member(name)
            raw("{\"$\":")
            JSONText.append(Int64(port.number), to: &output)
            raw(port.isEnabled ? ",\"@enabled\":\"true\"}" : ",\"@enabled\":\"false\"}")
        case .dataCenter(let center):
            member("dataCenterInfo")
            write(center)
        case .lease(let lease):
            member("leaseInfo")
            for (position, field) in lease.fields.enumerated() {
                raw(position == 0 ? "{" : ",")
                member(field.name)
                JSONText.append(field.value, to: &output)
            }
            raw("}")
        case .metadata(let metadata):
            member("metadata")
            JSON(stringMap: metadata.isEmpty ? ["@class": emptyMapClass] : metadata).write(to: &output)
        }
    }

    private mutating func write(_ center: DataCenter) {
        raw("{\"@class\":")
        JSONText.append(center.className, to: &output)
        raw(",\"name\":")
        JSONText.append(center.name, to: &output)
        if center.name == DataCenter.amazon {
            raw(",\"metadata\":")
            JSON(stringMap: center.metadata).write(to: &output)
        }
        raw("}")
    }

    private mutating func member(_ name: String) {
        raw("\"")
        raw(name)
        raw("\":")
    }

    private mutating func raw(_ text: String) { output.append(contentsOf: text.utf8) }
}
