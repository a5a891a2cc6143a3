// What services, endpoints, ingresses and configuration may not be, in upstream's words.

import Formats
import Objects
import Testing

@testable import APIServer

@Suite struct NetworkRuleTests {
    static let service: JSON = [
        "apiVersion": "v1", "kind": "Service", "metadata": ["name": "web", "namespace": "default"],
        "spec": ["selector": ["app": "web"], "ports": [["port": 80]]],
    ]

    static let services: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase("no ports", ["spec.ports: Required value"]) { $0["spec", "ports"] = [] },
        RuleCase("headless without ports") {
            $0["spec", "ports"] = []
            $0["spec", "clusterIP"] = "None"
        },
        RuleCase(
            "type",
            [
                "spec.type: Unsupported value: \"Open\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", "
                    + "\"NodePort\""
            ]
        ) { $0["spec", "type"] = "Open" },
        RuleCase("two nameless ports", ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]) {
            $0["spec", "ports"] = [["port": 80], ["port": 81]]
        },
        RuleCase("port", ["spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"]) {
            $0["spec", "ports"] = [["port": 0, "targetPort": 80]]
        },
        RuleCase("same port twice", ["spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\"}"]) {
            $0["spec", "ports"] = [["name": "a", "port": 80], ["name": "b", "port": 80]]
        },
        RuleCase("same port name twice", ["spec.ports[1].name: Duplicate value: \"a\""]) {
            $0["spec", "ports"] = [["name": "a", "port": 80], ["name": "a", "port": 81]]
        },
        RuleCase(
            "node port of a cluster address",
            [
                "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"
            ]
        ) { $0["spec", "ports"] = [["port": 80, "nodePort": 30080]] },
        RuleCase("external name", ["spec.externalName: Required value"]) { $0["spec"] = ["type": "ExternalName"] },
        RuleCase(
            "affinity",
            [
                "spec.sessionAffinity: Unsupported value: \"Sticky\": supported values: \"ClientIP\", \"None\""
            ]
        ) { $0["spec", "sessionAffinity"] = "Sticky" },
        RuleCase(
            "affinity timeout",
            [
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400"
            ]
        ) {
            $0["spec", "sessionAffinity"] = "ClientIP"
            $0["spec", "sessionAffinityConfig"] = ["clientIP": ["timeoutSeconds": 0]]
        },
        RuleCase(
            "headless node port",
            [
                "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"
            ]
        ) {
            $0["spec", "type"] = "NodePort"
            $0["spec", "clusterIP"] = "None"
        },
        RuleCase(
            "loopback",
            [
                "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"
            ]
        ) { $0["spec", "externalIPs"] = ["127.0.0.1"] },
        RuleCase(
            "traffic policy of an inner service",
            [
                "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services"
            ]
        ) { $0["spec", "externalTrafficPolicy"] = "Local" },
        RuleCase(
            "load balancer ranges",
            [
                "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
                "spec.LoadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or "
                    + "2001:db8::/64)",
            ]
        ) { $0["spec", "loadBalancerSourceRanges"] = ["10.0.0.0"] },
        RuleCase(
            "target port name",
            [
                "spec.ports[0].targetPort: Invalid value: \"8080x!\": must contain only alpha-numeric characters (a-z, 0-9), "
                    + "and hyphens (-)"
            ]
        ) { $0["spec", "ports"] = [["port": 80, "targetPort": "8080x!"]] },
    ]

    @Test(arguments: services) func servicesAreRefused(_ one: RuleCase) throws {
        #expect(try one.found(in: Self.service, "services") == one.faults)
    }

    static let slice: JSON = [
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": ["name": "s"],
        "addressType": "IPv4", "endpoints": [["addresses": ["10.0.0.1"]]], "ports": [["port": 80]],
    ]

    static let slices: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase("no type", ["addressType: Required value"]) { $0["addressType"] = nil },
        RuleCase("type", ["addressType: Unsupported value: \"X\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""]) {
            $0["addressType"] = "X"
        },
        RuleCase("no address", ["endpoints[0].addresses: Required value: must contain at least 1 address"]) {
            $0["endpoints"] = [["addresses": []]]
        },
        RuleCase("address", ["endpoints[0].addresses[0]: Invalid value: \"::2\": must be a valid IPv4 address"]) {
            $0["endpoints"] = [["addresses": ["::2"]]]
        },
        RuleCase("port names", ["ports[1].name: Duplicate value: \"\""]) { $0["ports"] = [["port": 1], ["port": 2]] },
        RuleCase("too many", ["endpoints: Too many: 1001: must have at most 1000 items"]) {
            $0["endpoints"] = .array(Array(repeating: ["addresses": ["10.0.0.1"]], count: 1001))
        },
    ]

    @Test(arguments: slices) func slicesAreRefused(_ one: RuleCase) throws {
        #expect(try one.found(in: Self.slice, "endpointslices", group: "discovery.k8s.io") == one.faults)
    }

    static let endpoints: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase(
            "empty subset",
            [
                "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"
            ]
        ) { $0["subsets"] = [["ports": [["port": 80]]]] },
        RuleCase(
            "address",
            [
                "subsets[0].addresses[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            ]
        ) { $0["subsets"] = [["addresses": [["ip": "x"]]]] },
        RuleCase(
            "nameless ports",
            [
                "subsets[0].ports[0].name: Required value", "subsets[0].ports[1].name: Required value",
            ]
        ) { $0["subsets"] = [["addresses": [["ip": "10.0.0.1"]], "ports": [["port": 1], ["port": 2]]]] },
    ]

    @Test(arguments: endpoints) func endpointsAreRefused(_ one: RuleCase) throws {
        let sound: JSON = [
            "metadata": ["name": "e"], "subsets": [["addresses": [["ip": "10.0.0.1"]], "ports": [["port": 1]]]],
        ]
        #expect(try one.found(in: sound, "endpoints") == one.faults)
    }

    static let ingress: JSON = [
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": ["name": "web"],
        "spec": [
            "rules": [
                [
                    "host": "shop.example.com",
                    "http": [
                        "paths": [
                            [
                                "path": "/", "pathType": "Prefix",
                                "backend": ["service": ["name": "web", "port": ["number": 80]]],
                            ]
                        ]
                    ],
                ]
            ]
        ],
    ]

    private static func path(_ change: @escaping @Sendable (inout JSON) -> Void) -> @Sendable (inout JSON) -> Void {
        { ingress in
            var path: JSON = [
                "path": "/", "pathType": "Prefix", "backend": ["service": ["name": "web", "port": ["number": 80]]],
            ]
            change(&path)
            ingress["spec", "rules"] = [["http": ["paths": [path]]]]
        }
    }

    private static let here = "spec.rules[0].http.paths[0]"

    static let ingresses: [RuleCase] = [
        RuleCase("sound") { _ in },
        RuleCase(
            "nothing",
            [
                "spec: Invalid value: []: either `defaultBackend` or `rules` must be specified"
            ]
        ) { $0["spec"] = [:] },
        RuleCase(
            "path type", ["\(here).pathType: Required value: pathType must be specified"], path { $0["pathType"] = nil }
        ),
        RuleCase(
            "relative path", ["\(here).path: Invalid value: \"a\": must be an absolute path"], path { $0["path"] = "a" }
        ),
        RuleCase(
            "double slash", ["\(here).path: Invalid value: \"/a//b\": must not contain '//'"],
            path { $0["path"] = "/a//b" }),
        RuleCase(
            "no backend", ["\(here).backend: Invalid value: \"\": resource or service backend is required"],
            path {
                $0["backend"] = [:]
            }),
        RuleCase(
            "no port", ["\(here).backend: Required value: port name or number is required"],
            path {
                $0["backend"] = ["service": ["name": "web"]]
            }),
        RuleCase(
            "address as host",
            [
                "spec.rules[0].host: Invalid value: \"10.0.0.1\": must be a DNS name, not an IP address"
            ]
        ) { $0["spec", "rules"] = [["host": "10.0.0.1"]] },
        RuleCase(
            "class twice",
            [
                "metadata.annotations[kubernetes.io/ingress.class]: Invalid value: \"a\": must match `ingressClassName` when "
                    + "both are specified"
            ]
        ) {
            $0["metadata", "annotations"] = ["kubernetes.io/ingress.class": "a"]
            $0["spec", "ingressClassName"] = "b"
        },
    ]

    @Test(arguments: ingresses) func ingressesAreRefused(_ one: RuleCase) throws {
        #expect(try one.found(in: Self.ingress, "ingresses", group: "networking.k8s.io") == one.faults)
    }

    static let secrets: [RuleCase] = [
        RuleCase("sound") { $0["stringData"] = ["a": "b"] },
        RuleCase(
            "key",
            [
                "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                    + "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            ]
        ) { $0["data"] = ["a b": "eA=="] },
        RuleCase("TLS", ["data[tls.key]: Required value"]) {
            $0["type"] = "kubernetes.io/tls"
            $0["data"] = ["tls.crt": "eA=="]
        },
        RuleCase("too long", ["data: Too long: may not be more than 1048576 bytes"]) {
            $0["data"] = ["a": .string(String(repeating: "AAAA", count: 349_526))]
        },
    ]

    @Test(arguments: secrets) func secretsAreRefused(_ one: RuleCase) throws {
        #expect(try one.found(in: ["metadata": ["name": "s"]], "secrets") == one.faults)
    }

    @Test(arguments: ["configmaps", "secrets"]) func immutableDataStays(plural: String) throws {
        let frozen: JSON = ["metadata": ["name": "s"], "immutable": true, "data": ["a": "eA=="]]
        let why = "Forbidden: field is immutable when `immutable` is set"
        let change = RuleCase("change") { $0["data"] = ["a": "eQ=="] }
        #expect(try change.foundInUpdate(of: frozen, plural) == ["data: \(why)"])
        let thaw = RuleCase("thaw") { $0["immutable"] = false }
        #expect(try thaw.foundInUpdate(of: frozen, plural) == ["immutable: \(why)"])
    }

    @Test func addressesAndNetworksAreRead() {
        for text in ["10.0.0.1", "::", "::1", "2001:db8::ffff", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1"] {
            #expect(AddressRules.isAddress(text), "\(text)")
        }
        for text in ["", "10.0.0", "10.0.0.256", "010.0.0.1", "1:2:3", "1::2::3", ":::", "1:2:3:4:5:6:7:8:9", "g::"] {
            #expect(!AddressRules.isAddress(text), "\(text)")
        }
        #expect(AddressRules.isNetwork("10.0.0.0/8") && AddressRules.isNetwork("2001:db8::/64"))
        #expect(!AddressRules.isNetwork("10.0.0.0/33") && !AddressRules.isNetwork("10.0.0.0"))
    }
}
