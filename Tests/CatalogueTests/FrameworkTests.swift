// Names and layouts as the frameworks' own clients write them, read and rendered.

import Formats
import Testing

@testable import Frameworks

@Suite struct DubboLayoutTests {
    /// As Dubbo writes it: one escape over the whole, parameters by key.
    static let text =
        "dubbo://10.0.0.7:20880/com.acme.Orders?application=shop&group=blue&interface=com.acme.Orders"
        + "&methods=find,add&side=provider&version=1.0.0&weight=200"
    static let node =
        "dubbo%3A%2F%2F10.0.0.7%3A20880%2Fcom.acme.Orders%3Fapplication%3Dshop%26group%3Dblue%26interface%3D"
        + "com.acme.Orders%26methods%3Dfind%2Cadd%26side%3Dprovider%26version%3D1.0.0%26weight%3D200"

    @Test func aProvidersNodeIsItsURLEscapedOnce() throws {
        let url = try #require(ProviderURL(nodeName: Self.node))
        #expect(url.text == Self.text)
        #expect(url.nodeName == Self.node)
        #expect(url.scheme == "dubbo" && url.host == "10.0.0.7" && url.port == 20880 && url.path == "com.acme.Orders")
        #expect(url.parameters["methods"] == "find,add")
    }

    @Test func escapesAreJavas() {
        #expect(FormEncoding.encode("a b+c*d~é/") == "a+b%2Bc*d%7E%C3%A9%2F")
        #expect(FormEncoding.decode("a+b%2Bc*d%7e%C3%A9%2F") == "a b+c*d~é/")
        #expect(FormEncoding.decode("%4") == nil)
        #expect(FormEncoding.decode("%zz") == nil)
        #expect(FormEncoding.decode("%FF") == nil)
    }

    @Test func valuesKeepTheirOwnEscapes() throws {
        let url = try #require(ProviderURL("dubbo://h:1/p?metadata=%7B%22a%22%3A1%7D&empty=&flag"))
        #expect(url.parameters == ["metadata": "%7B%22a%22%3A1%7D", "empty": "", "flag": ""])
        #expect(ProviderURL(nodeName: url.nodeName) == url)
    }

    @Test func addressesOfEitherFamilyAreRead() {
        #expect(ProviderURL("tri://[fd00::1]:50051/x").map { "\($0.host) \($0.port)" } == "fd00::1 50051")
        #expect(ProviderURL("tri://user:word@host/x").map { "\($0.host) \($0.port)" } == "host 0")
        #expect(ProviderURL("tri://[fd00::1]:50051/x")?.text == "tri://[fd00::1]:50051/x")
        for wrong in ["", "dubbo", "://x", "dubbo://", "dubbo://h:99999", "dubbo://h:x", "dubbo:///p"] {
            #expect(ProviderURL(wrong) == nil, "\(wrong)")
        }
    }

    @Test func nacosNamesKeepEmptySegments() {
        let all = DubboInterface(name: "com.acme.Orders", version: "1.0.0", group: "blue")
        #expect(all.nacosName() == "providers:com.acme.Orders:1.0.0:blue")
        #expect(DubboInterface(nacosName: "providers:com.acme.Orders:1.0.0:blue") == all)
        let bare = DubboInterface(name: "com.acme.Orders")
        #expect(bare.nacosName() == "providers:com.acme.Orders::")
        #expect(bare.nacosName(.consumers) == "consumers:com.acme.Orders::")
        #expect(DubboInterface(nacosName: "providers:com.acme.Orders::") == bare)
        #expect(DubboInterface(nacosName: "providers:com.acme.Orders") == bare, "as before 2.7.3")
        for other in ["orders", "consumers:com.acme.Orders::", "providers:", "providers::1:", "providers:a:b:c:d"] {
            #expect(DubboInterface(nacosName: other) == nil, "\(other)")
        }
        #expect(all.serviceKey == "blue/com.acme.Orders:1.0.0")
    }

    @Test func zooKeeperAndNacosCarryTheSame() throws {
        let url = try #require(ProviderURL(Self.text))
        let provider = try #require(DubboProvider(url: url))
        #expect(provider.interface.nacosName() == "providers:com.acme.Orders:1.0.0:blue")
        #expect(provider.weight == 2 && provider.application == "shop")
        var expected = url.parameters
        expected["category"] = "providers"
        expected["protocol"] = "dubbo"
        expected["path"] = "com.acme.Orders"
        #expect(provider.metadata == expected)
        let back = DubboProvider(
            provider.interface, host: "10.0.0.7", port: 20880, weight: provider.weight, metadata: provider.metadata)
        #expect(back == provider)
    }

    @Test func weightsThatWereSetElsewhereCount() {
        func shown(_ weight: Double, _ own: String?) -> String? {
            let metadata = own.map { ["weight": $0] } ?? [:]
            return DubboProvider(DubboInterface(name: "i"), host: "h", port: 1, weight: weight, metadata: metadata)
                .url.parameters["weight"]
        }
        #expect(shown(1, nil) == nil)
        #expect(shown(0.5, nil) == "50")
        #expect(shown(1, "200") == "200")
        #expect(shown(2, "200") == "200", "the same said twice")
        #expect(shown(0.5, "200") == "100")
        #expect(shown(0.29, nil) == "29")
        #expect(shown(0, nil) == "0")
    }

    @Test func revisionsListTheirInterfaces() throws {
        let text = """
            {"app":"shop","revision":"a1b2","services":{"blue/com.acme.Orders:1.0.0:tri":{"name":"com.acme.Orders",
            "group":"blue","version":"1.0.0","protocol":"tri","port":50051,"path":"com.acme.Orders","params":{}}}}
            """
        let revision = try #require(DubboRevision(text))
        #expect(revision.application == "shop" && revision.revision == "a1b2")
        let interface = DubboInterface(name: "com.acme.Orders", version: "1.0.0", group: "blue")
        #expect(
            revision.interfaces == [DeclaredInterface(.dubbo(interface), scheme: "tri", port: .number(50051))])
        #expect(DubboRevision("{}") == nil && DubboRevision("[") == nil)
    }

    @Test func endpointsAreReadAndWritten() {
        let text = #"[{"port":20880,"protocol":"dubbo"}]"#
        let endpoints = DubboApplication.endpoints([DubboApplication.endpointsKey: text])
        #expect(endpoints == [.init(port: 20880, scheme: "dubbo")])
        #expect(DubboApplication.text(endpoints) == text)
        #expect(DubboApplication.endpoints(["dubbo.endpoints": #"[{"port":0},3]"#]).isEmpty)
    }
}

@Suite struct SOFALayoutTests {
    static let text =
        "bolt://10.0.0.7:12200?version=1.0&accepts=100000&appName=shop&interface=com.acme.Orders&protocol=bolt"
        + "&uniqueId=&weight=100"

    @Test func aProviderCrosses() throws {
        let url = try #require(ProviderURL(Self.text))
        let provider = SOFAProvider(url: url, below: "com.acme.Orders")
        #expect(provider.nacosName == "com.acme.Orders:DEFAULT")
        #expect(provider.application == "shop" && provider.weight == 1)
        #expect(provider.metadata["uniqueId"] == "" && provider.metadata["version"] == "1.0")
        let back = SOFAProvider(provider.interface, host: "10.0.0.7", port: 12200, metadata: provider.metadata)
        #expect(back == provider)
    }

    @Test func namesTellUniqueIdAndProtocol() {
        let plain = SOFAInterface(name: "com.acme.Orders")
        let unique = SOFAInterface(name: "com.acme.Orders", uniqueID: "gold")
        #expect(unique.nacosName(scheme: "bolt") == "com.acme.Orders:gold:DEFAULT")
        #expect(plain.nacosName(scheme: "rest") == "com.acme.Orders:rest")
        #expect(SOFAInterface(nacosName: "com.acme.Orders:gold:DEFAULT") == unique)
        #expect(SOFAInterface(nacosName: "com.acme.Orders:grpc") == plain)
        for other in [
            "orders", "orders:blue", "providers:com.acme.Orders::", "providers:com.acme.Orders:DEFAULT", ":DEFAULT",
        ] {
            #expect(SOFAInterface(nacosName: other) == nil, "\(other)")
        }
    }
}

@Suite struct ApplicationLayoutTests {
    @Test func dubbosInstanceIsReadAndWritten() throws {
        let text =
            #"{"name":"shop","id":"10.0.0.7:20880","address":"10.0.0.7","port":20880,"sslPort":null,"payload":{"@class":"#
            + #""org.apache.dubbo.registry.zookeeper.ZookeeperInstance","id":"10.0.0.7:20880","name":"shop","metadata":{"#
            + #""dubbo.endpoints":"[{\"port\":20880,\"protocol\":\"dubbo\"}]","dubbo.metadata.revision":"a1b2"}},"#
            + #""registrationTimeUTC":1700000000000,"serviceType":"DYNAMIC","uriSpec":null}"#
        let instance = try #require(ServiceInstancePayload(text.utf8))
        #expect(instance.flavour == .dubbo && instance.port == 20880)
        #expect(instance.metadata["dubbo.metadata.revision"] == "a1b2")
        #expect(String(decoding: instance.bytes, as: UTF8.self) == text)
    }

    @Test func theReadersFlavourDecidesTheClass() throws {
        var instance = ServiceInstancePayload(
            .springCloud, name: "orders", id: "0c9e", address: "10.0.0.7", port: 8080, metadata: ["zone": "a"])
        let spring = try JSON(parsing: instance.bytes)
        #expect(
            spring["payload", "@class"]?.string == "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance")
        #expect(spring["payload", "id"] == "application-1")
        #expect(spring["uriSpec", "parts"]?.array?.count == 5)
        #expect(ServiceInstancePayload(instance.bytes) == instance)
        instance.flavour = .dubbo
        #expect(try JSON(parsing: instance.bytes)["uriSpec"] == .null)
        for wrong in [
            "", "192.0.2.1", "{}", #"{"name":"x","address":""}"#, #"{"name":"x","address":"h","port":70000}"#,
        ] {
            #expect(ServiceInstancePayload(wrong.utf8) == nil, "\(wrong)")
        }
    }

    @Test func eurekaNamesComeFromTheVirtualAddress() {
        #expect(SpringName.catalogueName(application: "ORDERS", virtualAddress: "orders") == "orders")
        #expect(
            SpringName.catalogueName(application: "ORDERS", virtualAddress: " orderService , other") == "orderService")
        #expect(SpringName.catalogueName(application: "ORDERS", virtualAddress: nil) == "orders")
        #expect(SpringName.catalogueName(application: "ORDERS", virtualAddress: "${vip}") == "orders")
        #expect(SpringName.eurekaApplication("orders") == "ORDERS")
    }

    @Test func declarationsAreRead() {
        let metadata = [
            DeclaredInterface.dubboKey: "com.acme.Orders:1.0.0:blue, tri://com.acme.Users@50051\n@, :1",
            DeclaredInterface.sofaKey: "com.acme.Stock:gold@bolt",
        ]
        #expect(
            DeclaredInterface.all(in: metadata) == [
                DeclaredInterface(
                    .dubbo(DubboInterface(name: "com.acme.Orders", version: "1.0.0", group: "blue")), scheme: "dubbo"),
                DeclaredInterface(
                    .dubbo(DubboInterface(name: "com.acme.Users")), scheme: "tri", port: .number(50051)),
                DeclaredInterface(
                    .sofa(SOFAInterface(name: "com.acme.Stock", uniqueID: "gold")), scheme: "bolt", port: .name("bolt")),
            ])
    }
}

@Suite struct SpringWeightTests {
    @Test func aWeightIsMetadata() {
        #expect(SpringWeight.weight(in: ["weight": "2.5"]) == 2.5)
        for text in ["", "heavy", "-1", "nan", "1e9"] { #expect(SpringWeight.weight(in: ["weight": text]) == 1) }
        #expect(SpringWeight.metadata(["a": "b"], weight: 2.5) == ["a": "b", "weight": "3"])
        #expect(SpringWeight.metadata(["a": "b"], weight: 1) == ["a": "b"])
        #expect(SpringWeight.metadata(["weight": "7"], weight: 2) == ["weight": "7"])
    }
}
