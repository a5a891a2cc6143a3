// Eureka's XML (`com.netflix.discovery.converters.Converters`, written by XStream's pretty printer).

/// Appends to `output`, two spaces a level.
struct XMLAnswerWriter {
    let isCompact: Bool
    private(set) var output: [UInt8] = []

    init(isCompact: Bool) { self.isCompact = isCompact }

    mutating func write(_ source: ApplicationSource) {
        open("applications", 0)
        leaf("versions__delta", String(source.version), 1)
        leaf("apps__hashcode", source.hashCode, 1)
        for name in source.names { write(name, source.instances(name), level: 1) }
        close("applications", 0)
    }

    mutating func write(_ name: String, _ instances: [InstanceInfo], level: Int) {
        open("application", level)
        leaf("name", name, level + 1)
        for info in instances { write(info, level: level + 1) }
        close("application", level)
    }

    mutating func write(_ info: InstanceInfo, level: Int) {
        open("instance", level)
        for field in InstanceField.fields(of: info, compact: isCompact) { write(field, level + 1) }
        close("instance", level)
    }

    private mutating func write(_ field: InstanceField, _ level: Int) {
        switch field {
        case .text(let name, let text): leaf(name, text, level)
        case .number(let name, let number): leaf(name, String(number), level)
        case .overridden(let status): leaf("overriddenstatus", status.rawValue, level)
        case .port(let name, let port):
            leaf(
                name, String(port.number), level,
                attributes: port.isEnabled ? " enabled=\"true\"" : " enabled=\"false\"")
        case .dataCenter(let center):
            open("dataCenterInfo", level, attributes: " class=\"\(center.className)\"")
            leaf("name", center.name, level + 1)
            if center.name == DataCenter.amazon { map(center.metadata, level + 1) }
            close("dataCenterInfo", level)
        case .lease(let lease):
            open("leaseInfo", level)
            for field in lease.fields { leaf(field.name, String(field.value), level + 1) }
            close("leaseInfo", level)
        case .metadata(let metadata): map(metadata, level)
        }
    }

    private mutating func map(_ map: [String: String], _ level: Int) {
        guard !map.isEmpty else {
            indent(level)
            raw("<metadata class=\"\(emptyMapClass)\"/>")
            return
        }
        open("metadata", level)
        for key in map.keys.sorted() { leaf(XMLName.encoded(key), map[key] ?? "", level + 1) }
        close("metadata", level)
    }

    // MARK: Parts

    private mutating func open(_ name: String, _ level: Int, attributes: String = "") {
        indent(level)
        raw("<\(name)\(attributes)>")
    }

    private mutating func close(_ name: String, _ level: Int) {
        indent(level)
        raw("</\(name)>")
    }

    private mutating func leaf(_ name: String, _ text: String, _ level: Int, attributes: String = "") {
        indent(level)
        guard !text.isEmpty else { return raw("<\(name)\(attributes)></\(name)>") }
        raw("<\(name)\(attributes)>")
        escape(text)
        raw("</\(name)>")
    }

    private mutating func indent(_ level: Int) {
        if output.isEmpty { return }
        output.append(0x0A)
        output.append(contentsOf: repeatElement(0x20, count: 2 * level))
    }

    /// As XStream: the five characters and carriage returns are references. What XML cannot say at all is U+FFFD.
    private mutating func escape(_ text: String) {
        if text.utf8.allSatisfy(Self.isPlain) { return raw(text) }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": raw("&amp;")
            case "<": raw("&lt;")
            case ">": raw("&gt;")
            case "\"": raw("&quot;")
            case "'": raw("&apos;")
            case "\r": raw("&#xd;")
            case "\t", "\n", "\u{20}"..."\u{D7FF}", "\u{E000}"..."\u{FFFD}", "\u{10000}"..."\u{10FFFF}":
                UTF8.encode(scalar).map { output.append(contentsOf: $0) }
            default: raw("\u{FFFD}")
            }
        }
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "&"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""), UInt8(ascii: "'"): false
        default: (0x20..<0x7F).contains(byte)
        }
    }

    private mutating func raw(_ text: String) { output.append(contentsOf: text.utf8) }
}
