// The rules say what Services and EndpointSlices say: ports, affinity, readiness, and what is left out.

import Formats
import Objects
import Testing

@testable import PodNetwork

@Suite struct RulesetTests {
    private func rules(
        _ services: [Object], _ slices: [Object], withdrawing: [String] = []
    ) throws -> Ruleset {
        let table = ServiceTable(
            services: services, slices: slices, withdrawing: Set(withdrawing.compactMap { IPv4Address($0) }))
        return Ruleset(
            table, serviceRange: try #require(AddressRange("10.96.0.0/12")),
            podRange: try #require(AddressRange("10.88.0.0/16")))
    }

    private func targets(_ rules: Ruleset) -> [String] { rules.targets.sorted().map(\.description) }

    @Test func sendsAClusterIPToItsReadyEndpoints() throws {
        let rules = try rules(
            [Picture.service("web", ip: "10.96.0.20")],
            [
                Picture.slice("web-1", of: "web", [.ready("10.88.0.3"), .unready("10.88.0.4")]),
                Picture.slice("web-2", of: "web", [.ready("10.88.0.2"), .ready("10.88.0.3")]),
                Picture.slice("other", of: "other", [.ready("10.88.0.9")]),
            ])
        #expect(rules.text.contains("10.96.0.20 . tcp . 80 : goto svc/shop/web/tcp/80"))
        #expect(
            rules.text.contains(
                "meta l4proto tcp dnat to numgen random mod 2 map { 0 : 10.88.0.2 . 8080, 1 : 10.88.0.3 . 8080 }"))
        #expect(rules.text.contains("10.88.0.2 . 10.88.0.2"))
        #expect(targets(rules) == ["10.88.0.2", "10.88.0.3"])
        #expect(rules.omissions.isEmpty)
    }

    @Test func matchesPortsByNameAndProtocol() throws {
        let ports: [JSON] = [
            ["name": "http", "port": 80, "protocol": "TCP"], ["name": "dns", "port": 80, "protocol": "UDP"],
            ["name": "none", "port": 81, "protocol": "TCP"],
        ]
        let rules = try rules(
            [Picture.service("web", ip: "10.96.0.20", ports: ports)],
            [
                Picture.slice(
                    "web-1", of: "web",
                    ports: [
                        ["name": "http", "port": 8080, "protocol": "TCP"],
                        ["name": "dns", "port": 5353, "protocol": "UDP"],
                    ], [.ready("10.88.0.3")])
            ])
        #expect(rules.text.contains("meta l4proto tcp dnat to 10.88.0.3:8080"))
        #expect(rules.text.contains("meta l4proto udp dnat to 10.88.0.3:5353"))
        #expect(!rules.text.contains("tcp . 81 :"))
        #expect(rules.text.contains("elements = { 10.96.0.20 . tcp . 81 }"), "refused, not sent on its way")
    }

    @Test func fallsBackToServingEndpointsUntilTheyAreAskedToLeave() throws {
        let service = [Picture.service("web", ip: "10.96.0.20")]
        let slices = [
            Picture.slice(
                "web-1", of: "web",
                [
                    .leaving("10.88.0.3", isServing: true), .leaving("10.88.0.4", isServing: false),
                    .unready("10.88.0.5"),
                ])
        ]
        #expect(targets(try rules(service, slices)) == ["10.88.0.3"])
        let asked = try rules(service, slices, withdrawing: ["10.88.0.3"])
        #expect(targets(asked) == [])
        #expect(!asked.text.contains("goto svc/shop/web"))
        let replaced = slices + [Picture.slice("web-2", of: "web", [.ready("10.88.0.6")])]
        #expect(targets(try rules(service, replaced)) == ["10.88.0.6"])
    }

    @Test func keepsAClientAtOneEndpointWhenAsked() throws {
        let sticky: [String: JSON] = [
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": ["clientIP": ["timeoutSeconds": 60]],
        ]
        let service = [Picture.service("web", ip: "10.96.0.20", spec: sticky)]
        let two = try rules(service, [Picture.slice("web-1", of: "web", [.ready("10.88.0.2"), .ready("10.88.0.3")])])
        #expect(
            two.text.contains(
                "ip saddr @at/svc/shop/web/tcp/80/10.88.0.2/8080 goto to/svc/shop/web/tcp/80/10.88.0.2/8080"))
        #expect(two.text.contains("update @at/svc/shop/web/tcp/80/10.88.0.3/8080 { ip saddr }"))
        #expect(two.text.contains("timeout 60s"))
        // Who is at home at an endpoint that stays is not forgotten when another one goes.
        let one = try rules(service, [Picture.slice("web-1", of: "web", [.ready("10.88.0.2")])])
        let change = try #require(two.change(to: one))
        #expect(change.contains("delete set ip mangrove-services at/svc/shop/web/tcp/80/10.88.0.3/8080"))
        #expect(!change.contains("delete set ip mangrove-services at/svc/shop/web/tcp/80/10.88.0.2/8080"))
        #expect(!change.contains("delete table"))
        let plain = try rules([Picture.service("web", ip: "10.96.0.20")], [])
        #expect(one.change(to: plain) == nil && plain.change(to: one) == nil, "nothing to keep")
    }

    @Test func rulesOfAnEarlierProcessAreKnownByTheirNames() throws {
        let sticky: [String: JSON] = [
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": ["clientIP": ["timeoutSeconds": 10_860]],
        ]
        let slices = [Picture.slice("web-1", of: "web", [.ready("10.88.0.2"), .ready("10.88.0.3")])]
        let rules = try rules([Picture.service("web", ip: "10.96.0.20", spec: sticky)], slices)
        // As nft 1.0.6 lists what these rules make.
        let chains =
            (["to/svc/shop/web/tcp/80/10.88.0.2/8080", "svc/shop/web/tcp/80", "to/svc/shop/web/tcp/80/10.88.0.3/8080"]
            + RuleNames.ownChains).map {
                "\tchain \($0) {\n\t\ttype nat hook output priority -100; policy accept;\n\t}\n"
            }.joined()
        let sets = ["10.88.0.2", "10.88.0.3"].map {
            "\tset at/svc/shop/web/tcp/80/\($0)/8080 {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 3h1m\n\t}\n"
        }.joined()
        let found = RuleNames(
            chainListing: "table ip other {\n\tchain foreign {\n\t}\n}\ntable ip mangrove-services {\n\(chains)}\n",
            setListing: "table ip mangrove-services {\n\tset hairpin {\n\t\ttype ipv4_addr . ipv4_addr\n\t}\n\(sets)}\n"
        )
        #expect(found.affinities == rules.names.affinities)
        #expect(Set(found.chains) == Set(rules.names.chains) && found.chains.first == "svc/shop/web/tcp/80")
        #expect(found.change(to: rules.names) != nil)
        #expect(RuleNames(chainListing: "", setListing: "").change(to: rules.names) == nil, "nothing there")
        #expect(
            RuleNames.seconds("1d1h1m1s") == 90_061 && RuleNames.seconds("5x") == nil && RuleNames.seconds("") == nil)
    }

    @Test func onlyTheClientsThatMayReachALoadBalancer() throws {
        var service = Picture.service(
            "web", ip: "10.96.0.20",
            spec: ["type": "LoadBalancer", "loadBalancerSourceRanges": ["198.51.100.9/24", "2001:db8::/32"]])
        service.status = ["loadBalancer": ["ingress": [["ip": "192.0.2.2", "ipMode": "VIP"]]]]
        let slices = [Picture.slice("web-1", of: "web", [.ready("10.88.0.2")])]
        let text = try rules([service], slices).text
        #expect(text.contains("192.0.2.2 . tcp . 80 : goto may/svc/shop/web/tcp/80"))
        #expect(
            text.contains("  chain may/svc/shop/web/tcp/80 {\n    ip saddr 198.51.100.0/24 return\n    drop\n  }\n"))
        #expect(!text.contains("10.96.0.20 . tcp . 80 : goto may"), "inside, everybody may")
        service["spec", "loadBalancerSourceRanges"] = ["0.0.0.0/0"]
        #expect(!(try rules([service], slices).text.contains("goto may")))
    }

    @Test func udpFlowsAreKnownByTheirTarget() throws {
        let port: JSON = ["name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053]
        let rules = try rules(
            [Picture.service("dns", ip: "10.96.0.20", ports: [port], spec: ["type": "NodePort"])],
            [
                Picture.slice(
                    "dns-1", of: "dns", ports: [["name": "dns", "port": 5353, "protocol": "UDP"]], [.ready("10.88.0.2")]
                )
            ])
        let target = try #require(IPv4Address("10.88.0.2"))
        #expect(
            rules.flows == [
                .init(address: IPv4Address("10.96.0.20"), port: 53, target: target),
                .init(address: nil, port: 30053, target: target),
            ])
    }

    @Test func anotherFirewallThatDropsIsNamed() {
        let listing = """
            table ip filter {
            \tchain FORWARD {
            \t\ttype filter hook forward priority filter; policy drop;
            \t}
            \tchain INPUT {
            \t\ttype filter hook input priority filter; policy drop;
            \t}
            }
            table ip mangrove-services {
            \tchain refuse-forwarded {
            \t\ttype filter hook forward priority filter; policy accept;
            \t}
            }
            """
        #expect(RuleWatch.foreignDrops(listing) == ["table ip filter, chain FORWARD"])
    }

    @Test func opensNodePortsOnlyOfServicesThatHaveThem() throws {
        let port: JSON = ["name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080]
        let slices = [Picture.slice("web-1", of: "web", [.ready("10.88.0.2")])]
        let open = try rules(
            [Picture.service("web", ip: "10.96.0.20", ports: [port], spec: ["type": "NodePort"])], slices)
        #expect(open.text.contains("tcp . 30080 : goto svc/shop/web/tcp/80"))
        let closed = try rules([Picture.service("web", ip: "10.96.0.20", ports: [port])], slices)
        #expect(!closed.text.contains("30080"))
    }

    @Test func aLoadBalancerAnswersAtItsAddress() throws {
        var service = Picture.service(
            "web", ip: "10.96.0.20", spec: ["type": "LoadBalancer", "externalIPs": ["198.51.100.7"]])
        #expect(
            LoadBalancerStatus.wanted(service, address: "192.0.2.2")?["ingress"]?.array?.first?["ip"] == "192.0.2.2")
        service.status = ["loadBalancer": ["ingress": [["ip": "192.0.2.2", "ipMode": "VIP"]]]]
        #expect(LoadBalancerStatus.wanted(service, address: "192.0.2.2") == nil)
        let rules = try rules([service], [Picture.slice("web-1", of: "web", [.ready("10.88.0.2")])])
        for address in ["192.0.2.2", "198.51.100.7", "10.96.0.20"] {
            #expect(rules.text.contains("\(address) . tcp . 80 : goto svc/shop/web/tcp/80"))
        }
        service["spec", "type"] = "ClusterIP"
        #expect(LoadBalancerStatus.wanted(service, address: "192.0.2.2") == ["ingress": .null])
    }

    @Test func aHostPortLeadsToItsPodUntilThatLeaves() throws {
        var pod = Object(.pods, namespace: "shop", name: "edge")
        pod.spec = [
            "containers": [
                [
                    "name": "main",
                    "ports": [
                        ["containerPort": 8080, "hostPort": 80],
                        ["containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "192.0.2.2"],
                        ["containerPort": 9090],
                    ],
                ]
            ]
        ]
        pod.status = ["podIP": "10.88.0.2", "phase": "Running"]
        func text(_ pod: Object) throws -> String {
            Ruleset(
                ServiceTable(services: [], slices: [], pods: [pod]),
                serviceRange: try #require(AddressRange("10.96.0.0/12")),
                podRange: try #require(AddressRange("10.88.0.0/16"))
            ).text
        }
        #expect(try text(pod).contains("tcp . 80 : goto svc/shop/host/edge/tcp/80"))
        #expect(try text(pod).contains("192.0.2.2 . udp . 53 : goto svc/shop/host/edge/udp/53"))
        #expect(try !text(pod).contains("9090"))
        pod["metadata", "deletionTimestamp"] = "2026-11-23T00:00:00Z"
        #expect(try !text(pod).contains("edge"), "a pod that leaves holds nobody up")
    }

    @Test func localPoliciesKeepToTheNodesOwnEndpoints() throws {
        let port: JSON = ["name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080]
        let service = Picture.service(
            "web", ip: "10.96.0.20", ports: [port], spec: ["type": "NodePort", "externalTrafficPolicy": "Local"])
        var slice = Picture.slice("web-1", of: "web", [.ready("10.88.0.2"), .ready("192.0.2.99")])
        slice["endpoints"] = .array(
            (slice["endpoints"]?.array ?? []).enumerated().map { position, endpoint in
                var endpoint = endpoint
                endpoint["nodeName"] = position == 0 ? "here" : "there"
                return endpoint
            })
        let table = ServiceTable(services: [service], slices: [slice], nodeName: "here")
        #expect(table.ports.first?.targets.count == 2)
        #expect(table.ports.first?.externalTargets.map(\.address.description) == ["10.88.0.2"])
        let rules = Ruleset(
            table, serviceRange: try #require(AddressRange("10.96.0.0/12")),
            podRange: try #require(AddressRange("10.88.0.0/16")))
        #expect(rules.text.contains("tcp . 30080 : goto out/shop/web/tcp/80"))
        #expect(rules.text.contains("10.96.0.20 . tcp . 80 : goto svc/shop/web/tcp/80"))
    }

    @Test func ignoresHeadlessAndExternalNameServicesAndOtherFamilies() throws {
        var six = Picture.slice("web-6", of: "web", [.ready("10.88.0.7")])
        six["addressType"] = "IPv6"
        let rules = try rules(
            [
                Picture.service("web", ip: "10.96.0.20"), Picture.service("headless", ip: "None"),
                Picture.service("away", ip: "", spec: ["type": "ExternalName"]),
            ],
            [six, Picture.slice("headless-1", of: "headless", [.ready("10.88.0.2")])])
        #expect(targets(rules) == [])
    }

    @Test func givesADoubledKeyToTheFirstAndSaysSo() throws {
        let rules = try rules(
            [Picture.service("a", ip: "10.96.0.20"), Picture.service("b", ip: "10.96.0.20")],
            [
                Picture.slice("a-1", of: "a", [.ready("10.88.0.2")]),
                Picture.slice("b-1", of: "b", [.ready("10.88.0.3")]),
            ])
        #expect(targets(rules) == ["10.88.0.2"])
        #expect(rules.omissions.count == 1)
    }

    @Test func equalPicturesGiveEqualText() throws {
        let services = ["c", "a", "b"].enumerated().map { Picture.service($0.element, ip: "10.96.0.\(20 + $0.offset)") }
        let slices = ["a", "b", "c"].map { Picture.slice($0, of: $0, [.ready("10.88.0.2"), .ready("10.88.0.3")]) }
        #expect(try rules(services, slices) == rules(services.reversed(), slices.reversed()))
    }

    @Test func aNameThatNoServiceCanHaveStaysOutOfTheRules() throws {
        let rules = try rules(
            [Picture.service("web; flush", ip: "10.96.0.20")],
            [Picture.slice("web-1", of: "web; flush", [.ready("10.88.0.2")])])
        #expect(!rules.text.contains("flush"))
        #expect(rules.omissions.count == 1)
    }
}

@Suite struct RulesetMachineTests {
    private func ruleset(_ endpoints: [Picture.Endpoint]) throws -> Ruleset {
        let table = ServiceTable(
            services: [Picture.service("web", ip: "10.96.0.20")], slices: [Picture.slice("web-1", of: "web", endpoints)]
        )
        return Ruleset(
            table, serviceRange: try #require(AddressRange("10.96.0.0/12")),
            podRange: try #require(AddressRange("10.88.0.0/16")))
    }
    private func address(_ text: String) throws -> IPv4Address { try #require(IPv4Address(text)) }

    @Test func appliesOnlyWhatDiffers() throws {
        var machine = RulesetMachine()
        let one = try ruleset([.ready("10.88.0.2")])
        let two = try ruleset([.ready("10.88.0.2"), .ready("10.88.0.3")])
        #expect(machine.pictureRead(one, terminating: []) == true)
        #expect(machine.rulesetApplied(one) == [])
        #expect(machine.pictureRead(one, terminating: []) == false)
        #expect(machine.pictureRead(two, terminating: []) == true)
    }

    @Test func aWaiterGoesWhenTheAppliedRulesLeaveItsAddress() throws {
        var machine = RulesetMachine()
        let two = try ruleset([.ready("10.88.0.2"), .ready("10.88.0.3")])
        let other = try ruleset([.ready("10.88.0.4")])
        let (first, second, stranger) = (try address("10.88.0.2"), try address("10.88.0.3"), try address("10.88.0.9"))
        #expect(machine.withdrawalAsked(of: stranger) == .wait(1), "the kernel may hold older rules")
        #expect(machine.rulesetApplied(two) == [1])
        #expect(machine.withdrawalAsked(of: stranger) == .withdrawn)
        #expect(machine.withdrawalAsked(of: first) == .wait(2))
        #expect(machine.withdrawalAsked(of: second) == .wait(3))
        machine.waiterLeft(3)
        #expect(machine.rulesetApplied(other) == [2])
    }

    @Test func aRequestLastsWhileTheEndpointTerminates() throws {
        var machine = RulesetMachine()
        let address = try address("10.88.0.2")
        _ = machine.rulesetApplied(try ruleset([.ready("10.88.0.2")]))
        #expect(machine.withdrawalAsked(of: address) == .wait(1))
        let empty = try ruleset([])
        #expect(machine.pictureRead(empty, terminating: [address]) == true)
        #expect(machine.rulesetApplied(empty) == [1])
        #expect(machine.withdrawing == [address])
        _ = machine.pictureRead(empty, terminating: [address])
        #expect(machine.withdrawing == [address])
        _ = machine.pictureRead(empty, terminating: [])
        #expect(machine.withdrawing == [])
    }

    @Test func stoppingReleasesEveryone() throws {
        var machine = RulesetMachine()
        let address = try address("10.88.0.2")
        #expect(machine.withdrawalAsked(of: address) == .wait(1))
        #expect(machine.proxyStopped() == [1])
        #expect(machine.withdrawalAsked(of: address) == .withdrawn)
    }
}
