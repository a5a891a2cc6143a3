// Prometheus' text form, in which `/metrics` answers.

/// Families of samples (prometheus.io/docs/instrumenting/exposition_formats).
package struct MetricsText: Sendable {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    package private(set) var text = ""

    package init() {}

    package mutating func family(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    package mutating func sample(_ name: String, _ labels: [(String, String)] = [], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.0)=\"\(MetricsText.escaped($0.1))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// A family of one sample without labels.
    package mutating func single(_ name: String, _ type: String, _ value: Int, _ help: String) {
        family(name, type, help)
        sample(name, [], String(value))
    }

    /// `buckets` count what is at most each bound and above the one before it, and at last what is above them all.
    package mutating func histogram(
        _ name: String, _ labels: [(String, String)], bounds: [Double], buckets: [UInt64], sum: Double
    ) {
        var count: UInt64 = 0
        for (bound, bucket) in zip(bounds, buckets) {
            count += bucket
            sample(name + "_bucket", labels + [("le", Self.number(bound))], String(count))
        }
        let all = String(buckets.reduce(0, +))
        sample(name + "_bucket", labels + [("le", "+Inf")], all)
        sample(name + "_sum", labels, Self.number(sum))
        sample(name + "_count", labels, all)
    }

    package static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    private static func escaped(_ text: String) -> String {
        var output = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": output += "\\\\"
            case "\"": output += "\\\""
            case "\n": output += "\\n"
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output
    }
}
