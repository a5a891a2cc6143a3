// The environment variables by which containers find Services (upstream pkg/kubelet/envvars).

import Formats
import Objects

enum ServiceVariables {
    /// `ORDERS_SERVICE_HOST` and its like for every service that has an address of its own.
    static func of(_ services: [Object]) -> [String: String] {
        var variables: [String: String] = [:]
        for service in services {
            guard let address = service.spec["clusterIP"]?.string, !address.isEmpty, address != "None",
                service.spec["type"] != "ExternalName", let ports = service.spec["ports"]?.array, !ports.isEmpty
            else { continue }
            let name = variable(service.name)
            variables["\(name)_SERVICE_HOST"] = address
            for (position, port) in ports.enumerated() {
                let number = String(port["port"]?.integer ?? 0)
                let transport = (port["protocol"]?.string ?? "TCP").lowercased()
                if position == 0 {
                    variables["\(name)_SERVICE_PORT"] = number
                    variables["\(name)_PORT"] = "\(transport)://\(address):\(number)"
                }
                if let own = port["name"]?.string, !own.isEmpty {
                    variables["\(name)_SERVICE_PORT_\(variable(own))"] = number
                }
                let prefix = "\(name)_PORT_\(number)_\(transport.uppercased())"
                variables[prefix] = "\(transport)://\(address):\(number)"
                variables["\(prefix)_PROTO"] = transport
                variables["\(prefix)_PORT"] = number
                variables["\(prefix)_ADDR"] = address
            }
        }
        return variables
    }

    private static func variable(_ name: String) -> String { String(name.uppercased().map { $0 == "-" ? "_" : $0 }) }
}
