// Nacos requests, answered without sockets; and the machine that decides what is pushed.

import Catalogue
import Formats
import Testing

@testable import NacosServer

@Suite struct PushMachineTests {
    private let orders = ServiceName(name: "orders")
    private let start = ContinuousClock.now

    @Test func changesAreCoalescedAndAnswered() {
        var machine = PushMachine()
        machine.changed(orders)
        machine.changed(orders)
        #expect(machine.takeStep() == .push(orders, again: false))
        #expect(machine.takeStep() == nil)
        machine.pushed(orders, version: 7, requestID: "1", now: start)
        #expect(machine.answered(requestID: "2") == nil)
        let answer = machine.answered(requestID: "1")
        #expect(answer?.service == orders && answer?.version == 7)
        machine.timePassed(now: start + .seconds(60))
        #expect(machine.takeStep() == nil)
    }

    @Test func silenceIsAskedAgainThenLost() {
        var machine = PushMachine()
        var now = start
        machine.changed(orders)
        #expect(machine.takeStep() == .push(orders, again: false))
        for _ in 1..<PushMachine.attemptLimit {
            machine.pushed(orders, version: 7, requestID: "1", now: now)
            now += PushMachine.answerPatience
            machine.timePassed(now: now)
            #expect(machine.takeStep() == .push(orders, again: true))
        }
        machine.pushed(orders, version: 7, requestID: "1", now: now)
        machine.timePassed(now: now + PushMachine.answerPatience)
        #expect(machine.takeStep() == .lost)
    }
}

@Suite struct GRPCRequestTests {
    private let catalogue = ServiceCatalogue(sources: [])
    private let connections = ConnectionTable()
    private var requests: GRPCRequests { GRPCRequests(catalogue: catalogue, connections: connections) }

    private func ask(_ type: String, _ body: JSON, peer: String = "ipv4:10.0.0.9:5000") async throws -> (String, JSON) {
        let answer = await requests.answer(Payload(type: type, body: body.bytes), peer: peer)
        return (answer.type, try JSON(parsing: answer.body))
    }

    @Test func onlyTheServerCheckIsAllowedBeforeSetUp() async throws {
        let (type, check) = try await ask("ServerCheckRequest", ["requestId": "1"])
        #expect(type == "ServerCheckResponse")
        #expect(check["connectionId"]?.string?.hasSuffix("_10.0.0.9_5000") == true)
        #expect(check["supportAbilityNegotiation"]?.bool == false)
        let (refusedType, refused) = try await ask("HealthCheckRequest", ["requestId": "2"])
        #expect(refusedType == "ErrorResponse")
        #expect(refused["errorCode"]?.integer == 301)
        #expect(refused["success"]?.bool == false)
        #expect(refused["requestId"]?.string == "2")
    }

    @Test func aConnectionHoldsOneInstanceOrOneBatch() async throws {
        let connection = Connection(id: "c", peer: "ipv4:10.0.0.9:5000")
        #expect(connections.add(connection))
        for port in [1, 2] {
            let (type, answer) = try await ask(
                "InstanceRequest",
                [
                    "type": "registerInstance", "serviceName": "orders", "namespace": "public",
                    "instance": ["ip": "10.0.0.9", "port": .integer(Int64(port)), "clusterName": ""],
                ])
            #expect(type == "InstanceResponse" && answer["resultCode"]?.integer == 200)
            #expect(answer["message"]?.string == "")
        }
        let service = ServiceName(name: "orders")
        #expect(catalogue.snapshot(of: service).instances.map(\.port) == [2])
        _ = try await ask(
            "BatchInstanceRequest",
            [
                "type": "batchRegisterInstance", "serviceName": "orders",
                "instances": [["ip": "10.0.0.9", "port": 3], ["ip": "10.0.0.9", "port": 4]],
            ])
        #expect(catalogue.snapshot(of: service).instances.map(\.port) == [3, 4])
        let (_, query) = try await ask("ServiceQueryRequest", ["serviceName": "DEFAULT_GROUP@@orders"])
        #expect(query["serviceInfo", "name"]?.string == "orders")
        #expect(query["serviceInfo", "hosts"]?.array?.count == 2)
    }

    @Test func whatIsNotServedSaysSo() async throws {
        #expect(connections.add(Connection(id: "c", peer: "ipv4:10.0.0.9:5000")))
        let (type, answer) = try await ask("ConfigQueryRequest", ["dataId": "a", "group": "b"])
        #expect(type == "ConfigQueryResponse")
        #expect(answer["resultCode"]?.integer == 500)
        #expect(answer["message"]?.string?.contains("not served") == true)
        let (unknownType, unknown) = try await ask("LockOperationRequest", [:])
        #expect(unknownType == "ErrorResponse")
        #expect(unknown["errorCode"]?.integer == 302)
    }
}

@Suite struct OpenAPITests {
    private func ask(
        _ catalogue: ServiceCatalogue, _ method: String, _ path: String, _ query: String
    ) async -> OpenAPIResponse {
        await OpenAPI(catalogue: catalogue).answer(
            OpenAPIRequest(method: method, path: path, parameters: FormParameters(query), peer: "10.0.0.9"))
    }

    @Test func listsKubernetesAndNacosInstancesAlike() async throws {
        let catalogue = ServiceCatalogue(sources: [])
        let pod = Instance(address: "10.1.0.1", port: 80, lifetime: .kubernetes, origin: .kubernetes)
        catalogue.replace([pod], of: .kubernetes, as: ServiceName(name: "orders"))
        let query = "serviceName=orders&ip=10.1.0.2&port=80&clusterName=None&ephemeral=True"
        #expect(await ask(catalogue, "POST", "/nacos/v1/ns/instance", query) == .text("ok"))
        let answer = await ask(catalogue, "GET", "/nacos/v1/ns/instance/list", "serviceName=orders")
        let list = try JSON(parsing: answer.body)
        #expect(list["name"]?.string == "DEFAULT_GROUP@@orders")
        #expect(list["hosts"]?.array?.compactMap { $0["ip"]?.string } == ["10.1.0.1", "10.1.0.2"])
    }

    @Test func refusalsCarryNacosWords() async {
        let catalogue = ServiceCatalogue(sources: [])
        let missing = await ask(catalogue, "POST", "/nacos/v1/ns/instance", "serviceName=orders&port=80")
        #expect(missing == .text("caused: Param 'ip' is required.;", status: 400))
        #expect(await ask(catalogue, "GET", "/nacos/v1/cs/configs", "").status == 501)
    }
}
