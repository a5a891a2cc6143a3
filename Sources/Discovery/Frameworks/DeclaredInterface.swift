// Interfaces that a service says it has, in an annotation or in its metadata.

/// An interface that an application answers for, without having registered it by itself.
///
/// Written `[protocol://]interface[:version[:group]][@port]` for Dubbo and `[protocol://]interface[:uniqueId][@port]`
/// for SOFA, several separated by commas or white space; a port is a number or the name of one.
package struct DeclaredInterface: Hashable, Sendable {
    /// What the keys of the platform's own metadata and annotations begin with.
    package static let prefix = "mangrove.dev/"
    package static let dubboKey = "mangrove.dev/dubbo-interfaces"
    package static let sofaKey = "mangrove.dev/sofa-interfaces"
    /// Declarations beyond this many of one text are not read.
    package static let limit = 1_000

    package enum Framework: Hashable, Sendable {
        case dubbo(DubboInterface)
        case sofa(SOFAInterface)
    }

    package enum Port: Hashable, Sendable {
        case number(Int)
        case name(String)
    }

    package var framework: Framework
    package var scheme: String
    /// Nil stands for the instance's own port.
    package var port: Port?

    package init(_ framework: Framework, scheme: String, port: Port? = nil) {
        self.framework = framework
        self.scheme = scheme
        self.port = port
    }

    /// What metadata or annotations declare under `dubboKey` and `sofaKey`.
    package static func all(in metadata: [String: String]) -> [DeclaredInterface] {
        let dubbo = metadata[dubboKey].map { list($0) { words in DeclaredInterface(dubbo: words) } } ?? []
        let sofa = metadata[sofaKey].map { list($0) { words in DeclaredInterface(sofa: words) } } ?? []
        return dubbo + sofa
    }

    private static func list(_ text: String, _ read: (Substring) -> DeclaredInterface?) -> [DeclaredInterface] {
        text.split(whereSeparator: { $0 == "," || $0.isWhitespace }).prefix(limit).compactMap(read)
    }

    package init?(dubbo words: Substring) {
        guard let (scheme, names, port) = Self.parts(words), names.count <= 3 else { return nil }
        let interface = DubboInterface(
            name: names[0], version: names.count > 1 ? names[1] : "", group: names.count > 2 ? names[2] : "")
        self.init(.dubbo(interface), scheme: scheme ?? "dubbo", port: port)
    }

    package init?(sofa words: Substring) {
        guard let (scheme, names, port) = Self.parts(words), names.count <= 2 else { return nil }
        let interface = SOFAInterface(name: names[0], uniqueID: names.count > 1 ? names[1] : "")
        self.init(.sofa(interface), scheme: scheme ?? "bolt", port: port)
    }

    private static func parts(_ words: Substring) -> (scheme: String?, names: [String], port: Port?)? {
        var rest = words
        var scheme: String?
        if let mark = rest.firstRange(of: "://") {
            scheme = String(rest[..<mark.lowerBound])
            rest = rest[mark.upperBound...]
        }
        var port: Port?
        if let at = rest.lastIndex(of: "@") {
            let text = rest[rest.index(after: at)...]
            if let number = Int(text) {
                guard (1...65_535).contains(number) else { return nil }
                port = .number(number)
            } else if !text.isEmpty {
                port = .name(String(text))
            }
            rest = rest[..<at]
        }
        let names = rest.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard let first = names.first, !first.isEmpty, scheme != "" else { return nil }
        return (scheme, names, port)
    }

    /// The catalogue's name for the service.
    package var serviceName: String {
        switch framework {
        case .dubbo(let interface): interface.nacosName()
        case .sofa(let interface): interface.nacosName(scheme: scheme)
        }
    }
}
