// The parts of a connection's life that few clients come to see: is it there, and please come again.

import Catalogue
import Formats
import GRPCServing
import Testing

@testable import NacosServer

@Suite struct ConnectionTests {
    private let memory = MemoryBackend()
    private let connection = Connection(id: "c", peer: GRPCPeer(address: "10.0.0.9", port: 5000))
    private let start = ContinuousClock.now

    private func payload(_ subject: PushSubject) throws -> (type: String, body: JSON)? {
        try PushPayloads(backend: memory.backend).payload(for: subject, again: false, to: connection)
            .map { ($0.type, try JSON(parsing: $0.body)) }
    }

    @Test func aSilentClientIsAskedWhetherItIsThere() async throws {
        connection.heard(now: start)
        connection.timePassed(now: start + Connection.silencePatience)
        // Something else is the first step, so nothing was asked yet.
        connection.changed(.abilities)
        #expect(connection.takeStep() == .push(.abilities, again: false))
        let asked = start + Connection.silencePatience + .seconds(1)
        connection.timePassed(now: asked)
        #expect(connection.takeStep() == .push(.presence, again: false))
        let id = connection.push(.presence, now: asked)
        // It is not asked twice at a time.
        connection.timePassed(now: asked + .seconds(1))
        connection.heard(now: asked + .seconds(2))
        #expect(connection.answered(requestID: id)?.subject == .presence)
        connection.timePassed(now: asked + .seconds(3))
        connection.changed(.reset)
        #expect(connection.takeStep() == .push(.reset, again: false))
    }

    @Test func whoDoesNotAnswerIsLost() async {
        connection.heard(now: start)
        var now = start + Connection.silencePatience + .seconds(1)
        connection.timePassed(now: now)
        for attempt in 0..<PushMachine.attemptLimit {
            #expect(connection.takeStep() == .push(.presence, again: attempt > 0))
            _ = connection.push(.presence, now: now)
            now += PushMachine.answerPatience
            connection.timePassed(now: now)
        }
        #expect(connection.takeStep() == .lost)
    }

    @Test func whatIsSaidIsInNacosWords() throws {
        let detection = try #require(try payload(.presence))
        #expect(detection.type == "ClientDetectionRequest")
        #expect(detection.body["requestId"]?.string == "1" && detection.body["module"]?.string == "internal")
        let reset = try #require(try payload(.reset))
        #expect(reset.type == "ConnectResetRequest" && reset.body["connectionId"]?.string == "c")
        #expect(reset.body["serverIp"]?.string?.isEmpty == true, "the client chooses among those that it knows")
    }
}
