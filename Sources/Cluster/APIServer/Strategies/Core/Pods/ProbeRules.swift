// Validation of probes and life cycle hooks.

import Formats
import Objects

extension Findings {
    mutating func probe(_ field: Field, isReadiness: Bool) {
        handler(field, ["exec", "httpGet", "tcpSocket", "grpc"])
        let numbers = [
            "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold",
        ]
        for name in numbers { isNotNegative(field[name]) }
        let grace = field["terminationGracePeriodSeconds"]
        if grace.exists, grace.number <= 0 { invalid(grace, "must be greater than 0") }
        if isReadiness {
            if grace.exists { invalid(grace, "must not be set for readinessProbes") }
        } else if field["successThreshold"].number != 1 {
            invalid(field["successThreshold"], value: JSON(field["successThreshold"].number), "must be 1")
        }
    }

    /// Exactly one of these ways to act.
    mutating func handler(_ field: Field, _ kinds: [String], gracePeriodSeconds: Int? = nil) {
        let given = kinds.filter { field[$0].exists }
        for (position, kind) in given.enumerated() {
            if position > 0 {
                forbidden(field[kind], "may not specify more than 1 handler type")
                continue
            }
            switch kind {
            case "exec": needs(field[kind]["command"])
            case "httpGet": httpGet(field[kind])
            case "tcpSocket": portNumberOrName(field[kind]["port"])
            case "grpc": port(field[kind]["port"])
            default: sleep(field[kind], gracePeriodSeconds)
            }
        }
        if given.isEmpty { required(field, "must specify a handler type") }
    }

    private mutating func httpGet(_ field: Field) {
        needs(field["path"])
        portNumberOrName(field["port"])
        if !["HTTP", "HTTPS"].contains(field["scheme"].text) {
            notSupported(field["scheme"], ["HTTP", "HTTPS"], value: .string(field["scheme"].text))
        }
        for header in field["httpHeaders"].elements {
            for message in NameRules.headerNameMessages(header["name"].text) {
                invalid(field["httpHeaders"], value: .string(header["name"].text), message)
            }
        }
    }

    private mutating func sleep(_ field: Field, _ gracePeriodSeconds: Int?) {
        let seconds = field["seconds"].number
        guard let limit = gracePeriodSeconds, seconds < 0 || seconds > limit else { return }
        let why = "must be non-negative and less than terminationGracePeriodSeconds (\(limit))"
        invalid(field, value: JSON(seconds), why)
    }
}
