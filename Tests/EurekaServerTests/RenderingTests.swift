// The bytes that Netflix' server answers with, and the words that survive the way through the catalogue.

import Catalogue
import Formats
import Testing

@testable import EurekaServer

@Suite struct RenderingTests {
    private let orders = ServiceName(name: "orders")

    private func shown() throws -> InstanceInfo {
        var info = try Sample.info()
        info.lease.registered = 1_700_000_001_000
        info.lease.serviceUp = 1_700_000_002_000
        return InstanceInfo(info.record, of: orders, updated: 1_700_000_003_000)
    }

    private func source(_ instances: [InstanceInfo]) -> ApplicationSource {
        ApplicationSource(version: 1, hashCode: "UP_1_", names: instances.isEmpty ? [] : ["ORDERS"]) { _ in instances }
    }

    @Test func jsonIsNetflix() throws {
        let bytes = RegistryWriter.bytes(source([try shown()]), AnswerForm(isJSON: true))
        let golden = """
            {"applications":{"versions__delta":"1","apps__hashcode":"UP_1_","application":[{"name":"ORDERS","instance":[{\
            "instanceId":"10.1.0.7:orders:8080","hostName":"10.1.0.7","app":"ORDERS","ipAddr":"10.1.0.7","status":"UP",\
            "overriddenstatus":"UNKNOWN","overriddenStatus":"UNKNOWN","port":{"$":8080,"@enabled":"true"},\
            "securePort":{"$":443,"@enabled":"false"},"countryId":1,\
            "dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo","name":"MyOwn"},\
            "leaseInfo":{"renewalIntervalInSecs":10,"durationInSecs":30,"registrationTimestamp":1700000001000,\
            "lastRenewalTimestamp":1700000001000,"evictionTimestamp":0,"serviceUpTimestamp":1700000002000},\
            "metadata":{"management.port":"8081","zone":"a"},"homePageUrl":"http://10.1.0.7:8080/",\
            "statusPageUrl":"http://10.1.0.7:8081/actuator/info","healthCheckUrl":"http://10.1.0.7:8081/actuator/health",\
            "vipAddress":"orders","secureVipAddress":"orders","isCoordinatingDiscoveryServer":"false",\
            "lastUpdatedTimestamp":"1700000003000","lastDirtyTimestamp":"1700000000000","actionType":"ADDED"}]}]}}
            """
        #expect(String(decoding: bytes, as: UTF8.self) == golden)
    }

    @Test func xmlIsNetflix() throws {
        let bytes = RegistryWriter.bytes(source([try shown()]), AnswerForm(isJSON: false))
        let golden = """
            <applications>
              <versions__delta>1</versions__delta>
              <apps__hashcode>UP_1_</apps__hashcode>
              <application>
                <name>ORDERS</name>
                <instance>
                  <instanceId>10.1.0.7:orders:8080</instanceId>
                  <hostName>10.1.0.7</hostName>
                  <app>ORDERS</app>
                  <ipAddr>10.1.0.7</ipAddr>
                  <status>UP</status>
                  <overriddenstatus>UNKNOWN</overriddenstatus>
                  <port enabled="true">8080</port>
                  <securePort enabled="false">443</securePort>
                  <countryId>1</countryId>
                  <dataCenterInfo class="com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo">
                    <name>MyOwn</name>
                  </dataCenterInfo>
                  <leaseInfo>
                    <renewalIntervalInSecs>10</renewalIntervalInSecs>
                    <durationInSecs>30</durationInSecs>
                    <registrationTimestamp>1700000001000</registrationTimestamp>
                    <lastRenewalTimestamp>1700000001000</lastRenewalTimestamp>
                    <evictionTimestamp>0</evictionTimestamp>
                    <serviceUpTimestamp>1700000002000</serviceUpTimestamp>
                  </leaseInfo>
                  <metadata>
                    <management.port>8081</management.port>
                    <zone>a</zone>
                  </metadata>
                  <homePageUrl>http://10.1.0.7:8080/</homePageUrl>
                  <statusPageUrl>http://10.1.0.7:8081/actuator/info</statusPageUrl>
                  <healthCheckUrl>http://10.1.0.7:8081/actuator/health</healthCheckUrl>
                  <vipAddress>orders</vipAddress>
                  <secureVipAddress>orders</secureVipAddress>
                  <isCoordinatingDiscoveryServer>false</isCoordinatingDiscoveryServer>
                  <lastUpdatedTimestamp>1700000003000</lastUpdatedTimestamp>
                  <lastDirtyTimestamp>1700000000000</lastDirtyTimestamp>
                  <actionType>ADDED</actionType>
                </instance>
              </application>
            </applications>
            """
        #expect(String(decoding: bytes, as: UTF8.self) == golden)
    }

    @Test func emptyMapsNameTheirClass() throws {
        var info = try shown()
        info.metadata = [:]
        let json = try JSON(parsing: RegistryWriter.bytes(info, AnswerForm(isJSON: true)))
        #expect(json["instance", "metadata"] == ["@class": "java.util.Collections$EmptyMap"])
        let xml = String(decoding: RegistryWriter.bytes(info, AnswerForm(isJSON: false)), as: UTF8.self)
        #expect(xml.contains("\n  <metadata class=\"java.util.Collections$EmptyMap\"/>\n"))
        let none = String(decoding: RegistryWriter.bytes(source([]), AnswerForm(isJSON: true)), as: UTF8.self)
        #expect(none.hasSuffix("\"application\":[]}}"))
    }

    @Test func compactAnswersHaveWhatABalancerNeeds() throws {
        let json = try JSON(parsing: RegistryWriter.bytes(try shown(), AnswerForm(isJSON: true, isCompact: true)))
        #expect(
            json["instance"]?.object?.keys == [
                "instanceId", "hostName", "app", "ipAddr", "status", "port", "securePort", "dataCenterInfo",
                "vipAddress",
                "secureVipAddress", "lastUpdatedTimestamp", "actionType",
            ])
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        var info = try shown()
        info.metadata = ["a_b": "1 < 2 & \"3\"", "$x:y": "ü\r\n\t🌊", "0": ""]
        info.dataCenter = DataCenter(name: "Amazon", metadata: ["ami-id": "x"])
        info.asgName = "group"
        info.status = .down
        info.overriddenStatus = .outOfService
        for isJSON in [true, false] {
            let bytes = RegistryWriter.bytes(info, AnswerForm(isJSON: isJSON))
            let tree = isJSON ? try JSON(parsing: bytes)["instance"] : try XMLDocument(parsing: bytes).content
            var read = try InstanceInfo(tree: tree ?? .null, now: 0)
            // A server's own times are not taken from a body.
            read.lease = info.lease
            #expect(read == info)
        }
    }

    @Test func wordsSurviveTheCatalogue() throws {
        var info = try Sample.info()
        info.status = .outOfService
        info.overriddenStatus = .outOfService
        info.asgName = "group"
        info.countryID = 7
        info.dataCenter = DataCenter(name: "Amazon", metadata: ["ami-id": "x"])
        info.lease.registered = 5
        info.lease.lastRenewal = 5
        info.lastUpdated = 0
        let record = info.record
        #expect(record.isHealthy && !record.isEnabled)
        #expect(record.metadata == ["management.port": "8081", "zone": "a"])
        #expect(InstanceInfo(record: record) == info)
        #expect(
            InstanceInfo(record: Instance(address: "10.0.0.1", port: 1, lifetime: .persistent, origin: .eureka)) == nil)
    }

    @Test func anotherWorldsInstanceIsDialledByItsAddress() {
        let pod = Instance(
            id: "orders-x", address: "10.88.0.3", port: 8080, ports: ["http": 8080, "https": 8443], weight: 2.5,
            isHealthy: false, cluster: "east", metadata: ["a": "1"], lifetime: .kubernetes, origin: .kubernetes)
        let info = InstanceInfo(pod, of: ServiceName(group: "G", name: "orders"), updated: 9)
        #expect(info.app == "G@@ORDERS" && info.vipAddress == "G@@orders" && info.secureVipAddress == "G@@orders")
        #expect(
            info.hostName == "10.88.0.3" && info.ipAddress == "10.88.0.3" && info.id == "10.88.0.3:G@@orders:8080:east")
        #expect(info.status == .down)
        #expect(info.port == InstancePort(number: 8080, isEnabled: true))
        #expect(info.securePort == InstancePort(number: 8443, isEnabled: true))
        #expect(info.metadata == ["a": "1", "weight": "3", "zone": "east"])
        #expect(info.lastUpdated == 9)
    }

    @Test func anotherWorldsWordCountsForAnOwnInstanceToo() throws {
        var record = try Sample.info().record
        record.isHealthy = false
        #expect(InstanceInfo(record, of: orders, updated: 0).status == .down)
        record.isHealthy = true
        record.isEnabled = false
        #expect(InstanceInfo(record, of: orders, updated: 0).status == .outOfService)
    }

    @Test func weightIsSpringsMetadata() throws {
        var tree = Sample.registration()
        tree["metadata", "weight"] = "5"
        #expect(try Sample.info(tree).record.weight == 5)
        tree["metadata", "weight"] = "heavy"
        #expect(try Sample.info(tree).record.weight == 1)
    }
}

@Suite struct ReadingTests {
    @Test(arguments: [
        ("hostName", "Missing hostname"), ("app", "Missing appName"), ("ipAddr", "Missing ip address"),
        ("dataCenterInfo", "Missing dataCenterInfo"),
    ])
    func whatIsMissingIsNamed(_ key: String, _ words: String) {
        var tree = Sample.registration()
        tree[key] = nil
        #expect(throws: EurekaProblem.invalid(words)) { try Sample.info(tree) }
    }

    @Test func oddTypesAreReadAsNetflixReadsThem() throws {
        var tree = Sample.registration()
        tree["instanceId"] = nil
        tree["port"] = "9090"
        tree["securePort"] = ["$": "9443", "@enabled": true]
        tree["status"] = "up"
        tree["overriddenStatus"] = nil
        tree["overriddenstatus"] = "DOWN"
        tree["metadata"] = ["@class": "java.util.Collections$EmptyMap", "count": 1, "flag": true, "none": nil]
        tree["leaseInfo"] = ["durationInSecs": "-1", "renewalIntervalInSecs": "5"]
        tree["isCoordinatingDiscoveryServer"] = true
        tree["lastDirtyTimestamp"] = 17
        let info = try Sample.info(tree)
        #expect(info.id == "10.1.0.7")
        #expect(info.port == InstancePort(number: 9090, isEnabled: true))
        #expect(info.securePort == InstancePort(number: 9443, isEnabled: true))
        #expect(info.status == .up && info.overriddenStatus == .down)
        #expect(info.metadata == ["count": "1", "flag": "true", "none": ""])
        #expect(info.lease.durationSeconds == 90 && info.lease.renewalSeconds == 5)
        #expect(info.isCoordinatingDiscoveryServer && info.lastDirty == 17)
    }

    @Test func limitsAreNamed() {
        for (key, value) in [
            ("port", ["$": 70_000]), ("dataCenterInfo", ["name": "Other"]), ("hostName", "a\nb"),
            ("homePageUrl", .string(String(repeating: "x", count: 5_000))),
            (
                "metadata",
                [
                    "a": .string(String(repeating: "x", count: 4_000)),
                    "b": .string(String(repeating: "x", count: 5_000)),
                ]
            ),
        ] as [(String, JSON)] {
            var tree = Sample.registration()
            tree[key] = value
            #expect(throws: EurekaProblem.self) { try Sample.info(tree) }
        }
    }

    @Test func theVipAddressSpellsTheService() throws {
        var tree = Sample.registration("MY-Orders")
        tree["vipAddress"] = "My-Orders,other"
        #expect(
            try EurekaNames.service(of: Sample.info(tree), in: "shop")
                == ServiceName(namespace: "shop", name: "My-Orders"))
        tree["vipAddress"] = nil
        #expect(try EurekaNames.service(of: Sample.info(tree), in: "shop").name == "my-orders")
        tree["vipAddress"] = "G2@@orders"
        #expect(
            try EurekaNames.service(of: Sample.info(tree), in: "shop")
                == ServiceName(namespace: "shop", group: "G2", name: "orders"))
        tree["vipAddress"] = "a<b"
        #expect(throws: EurekaProblem.self) { try EurekaNames.service(of: Sample.info(tree), in: "shop") }
    }
}
