// Whom a pod asks for names: its `/etc/resolv.conf` (resolv.conf(5)) from `dnsPolicy` and `dnsConfig`.

import Formats
import Objects

struct NameResolution: Sendable {
    let pod: Object
    let configuration: NodeConfiguration

    /// The file's text; nil leaves it the node's own, which `host` is.
    func text(host: String) -> String? {
        var policy = pod.spec["dnsPolicy"]?.string ?? "ClusterFirst"
        // A pod on the node's network asks as the node does, unless it says otherwise.
        if policy == "ClusterFirst", pod.spec["hostNetwork"]?.bool == true { policy = "Default" }
        let wish = pod.spec["dnsConfig"].flatMap { $0.isNull ? nil : $0 }
        var servers: [String] = []
        var searches: [String] = []
        var options: [String] = []
        switch policy {
        case "None":
            break
        case "Default":
            if wish == nil { return nil }
            for line in host.split(separator: "\n") {
                let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
                switch words.first {
                case "nameserver": servers += words.dropFirst().prefix(1)
                case "search": searches = Array(words.dropFirst())
                case "options": options += words.dropFirst()
                default: continue
                }
            }
        default:
            guard !configuration.clusterDNS.isEmpty else { return nil }
            let domain = configuration.clusterDomain
            servers = [configuration.clusterDNS]
            searches = ["\(pod.namespace).svc.\(domain)", "svc.\(domain)", domain]
            options = ["ndots:5"]
        }
        servers += (wish?["nameservers"]?.strings ?? []).filter { !servers.contains($0) }
        searches += (wish?["searches"]?.strings ?? []).filter { !searches.contains($0) }
        for option in wish?["options"]?.array ?? [] {
            let name = option["name"]?.string ?? ""
            // What the pod says of an option counts.
            options.removeAll { $0 == name || $0.hasPrefix(name + ":") }
            options.append(name + (option["value"]?.string.map { ":" + $0 } ?? ""))
        }
        var text = searches.isEmpty ? "" : "search \(searches.joined(separator: " "))\n"
        for server in servers { text += "nameserver \(server)\n" }
        if !options.isEmpty { text += "options \(options.joined(separator: " "))\n" }
        return text
    }
}
