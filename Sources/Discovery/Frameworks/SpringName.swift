// A Spring Cloud application's name in the registries that spell it differently.

/// The names of one application in Eureka: `ORDERS` is its application, `orders` what consumers look up.
package enum SpringName {
    /// The catalogue's name of what registered in Eureka: its first virtual address, which is the application's name as
    /// its owner spells it, else the application in small letters.
    package static func catalogueName(application: String, virtualAddress: String?) -> String {
        let first = virtualAddress.map { addresses in
            let address = addresses.unicodeScalars.drop { $0 == "," }.prefix { $0 != "," }
            return String(address.drop(while: \.properties.isWhitespace).prefix { !$0.properties.isWhitespace })
        }
        // A placeholder that was never filled in is no name.
        if let first, !first.isEmpty, !first.hasPrefix("${") { return first }
        return application.lowercased()
    }

    /// The application's name in Eureka.
    package static func eurekaApplication(_ name: String) -> String { name.uppercased() }
}

/// The weight of an application's instance, which Spring Cloud's load balancer reads from metadata
/// (`MetadataWeightFunction`): in Eureka and ZooKeeper there is no other place for it.
package enum SpringWeight {
    package static let key = "weight"

    /// What metadata says; 1 when it says nothing that makes sense.
    package static func weight(in metadata: [String: String]) -> Double {
        guard let weight = metadata[key].flatMap({ Double($0) }), (0...10_000).contains(weight) else { return 1 }
        return weight
    }

    /// Metadata with the weight in it, as a whole number, unless it has one of its own or the weight is the usual one.
    package static func metadata(_ metadata: [String: String], weight: Double) -> [String: String] {
        guard weight != 1, metadata[key] == nil else { return metadata }
        return metadata.merging([key: String(Int(weight.rounded(.up)))]) { $1 }
    }
}
