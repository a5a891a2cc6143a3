// Eureka's names and the catalogue's: an application is a service in capitals, its vip address the service's own name.

import Catalogue
import Frameworks

enum EurekaNames {
    static let groupSeparator = "@@"
    /// Bytes of a service's name.
    static let longestName = 512
    /// Bytes of a namespace's name, as in Kubernetes.
    static let longestNamespace = 63

    /// How consumers look a service up: by its name, with its group where that is not the default one.
    static func vipAddress(of service: ServiceName) -> String {
        service.group == ServiceName.defaultGroup ? service.name : service.group + groupSeparator + service.name
    }

    /// The application that a service of another world is.
    static func app(of service: ServiceName) -> String {
        SpringName.eurekaApplication(vipAddress(of: service))
    }

    /// The service that a registration is for: what consumers of other worlds ask for to find it.
    static func service(of info: InstanceInfo, in namespace: String) throws(EurekaProblem) -> ServiceName {
        let spelled = SpringName.catalogueName(application: info.app, virtualAddress: info.vipAddress)
        guard !spelled.isEmpty, spelled.utf8.count <= longestName, spelled.utf8.allSatisfy(isLegal) else {
            throw .invalid(
                "the application's name or vipAddress is empty, longer than \(longestName) bytes, or has other characters "
                    + "than letters, digits and . _ - : $ @ / &")
        }
        // Few have one, and to look for a single byte costs little.
        guard spelled.utf8.contains(UInt8(ascii: "@")), let mark = spelled.firstRange(of: groupSeparator) else {
            return ServiceName(namespace: namespace, name: spelled)
        }
        let group = String(spelled[..<mark.lowerBound])
        let name = String(spelled[mark.upperBound...])
        guard !group.isEmpty, !name.isEmpty else { throw .invalid("a vipAddress is NAME or GROUP@@NAME") }
        return ServiceName(namespace: namespace, group: group, name: name)
    }

    /// Whether this may be the name of a namespace (RFC 1123 label).
    static func isNamespace(_ text: String) -> Bool {
        (1...longestNamespace).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
    }

    private static func isLegal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "$"),
            UInt8(ascii: "@"), UInt8(ascii: "/"), UInt8(ascii: "&"):
            true
        default: byte >= 0x80
        }
    }
}
