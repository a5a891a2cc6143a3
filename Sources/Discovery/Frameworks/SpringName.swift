// A Spring Cloud application's name in the registries that spell it differently.

/// The names of one application in Eureka: `ORDERS` is its application, `orders` what consumers look up.
package enum SpringName {
    /// The catalogue's name of what registered in Eureka: its first virtual address, which is the application's name as its
    /// owner spells it, else the application in small letters.
    package static func catalogueName(application: String, virtualAddress: String?) -> String {
        let first = virtualAddress?.split(separator: ",").first.map { address in
            String(address.drop(while: \.isWhitespace).prefix { !$0.isWhitespace })
        }
        // A placeholder that was never filled in is no name.
        if let first, !first.isEmpty, !first.hasPrefix("${") { return first }
        return application.lowercased()
    }

    /// The application's name in Eureka.
    package static func eurekaApplication(_ name: String) -> String { name.uppercased() }
}
