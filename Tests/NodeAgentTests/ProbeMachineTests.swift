// When probes ask and what their answers mean, as scripts.

import Formats
import Testing

@testable import NodeAgent

@Suite struct ProbeMachineTests {
    private static let start = Timestamp(secondsSinceEpoch: 1000)

    private func machine(_ tree: JSON, _ kind: ProbeKind, seed: ProbeMachine.Outcome? = nil) -> ProbeMachine {
        ProbeMachine(
            ProbeSpecification(tree, ports: [:]), kind: kind, startedAt: Self.start, now: Self.start, seed: seed)
    }

    private func at(_ seconds: Int) -> Timestamp { Self.start + .seconds(seconds) }

    @Test func theFirstQuestionComesAfterTheInitialDelayAndThenOnePerPeriod() {
        var probe = machine(["tcpSocket": ["port": 1], "initialDelaySeconds": 5, "periodSeconds": 3], .readiness)
        #expect(probe.ask(at: at(4)) == false)
        #expect(probe.nextQuestionAt == at(5))
        #expect(probe.ask(at: at(5)) == true)
        #expect(probe.ask(at: at(100)) == false, "one question is open at a time")
        _ = probe.answered(.success)
        #expect(probe.nextQuestionAt == at(8))
    }

    @Test func aSlowAnswerIsFollowedByOneQuestionNotByABurst() {
        var probe = machine(["tcpSocket": ["port": 1], "periodSeconds": 1], .liveness)
        #expect(probe.ask(at: at(0)) == true)
        _ = probe.answered(.success)
        #expect(probe.ask(at: at(60)) == true)
        _ = probe.answered(.success)
        #expect(probe.ask(at: at(60)) == false)
        #expect(probe.nextQuestionAt == at(61))
    }

    @Test func thresholdsCountEqualAnswersInARow() {
        var probe = machine(
            ["tcpSocket": ["port": 1], "failureThreshold": 3, "successThreshold": 2], .readiness)
        #expect(probe.outcome == .failure, "not ready until it said so")
        #expect(probe.answered(.success) == false)
        #expect(probe.answered(.failure("no")) == false)
        #expect(probe.answered(.success) == false)
        #expect(probe.answered(.success) == true)
        #expect(probe.outcome == .success)
        #expect(probe.answered(.failure("no")) == false)
        #expect(probe.answered(.failure("no")) == false)
        #expect(probe.outcome == .success)
        #expect(probe.answered(.failure("no")) == true)
        #expect(probe.outcome == .failure)
    }

    @Test func whatIsRememberedOfAnAdoptedContainerIsTheBeginning() {
        #expect(machine(["tcpSocket": ["port": 1]], .readiness, seed: .success).outcome == .success)
        #expect(machine(["tcpSocket": ["port": 1]], .startup).outcome == .unknown)
        #expect(machine(["tcpSocket": ["port": 1]], .liveness).outcome == .success, "alive until proved otherwise")
    }

    @Test func defaultsAreUpstreams() {
        let probe = ProbeSpecification(["httpGet": ["port": "web", "path": "health"]], ports: ["web": 8080])
        #expect(probe.periodSeconds == 10 && probe.timeoutSeconds == 1)
        #expect(probe.successThreshold == 1 && probe.failureThreshold == 3 && probe.initialDelaySeconds == 0)
        #expect(probe.check == .http(isSecure: false, host: "", port: 8080, path: "/health", headers: []))
    }

    @Test func backOffDoublesToFiveMinutesAndForgivesAfterTen() {
        var backoff = RestartBackoff()
        var now = Self.start
        var waits: [Int64] = []
        for _ in 0..<8 {
            let allowed = backoff.restartAllowed(endedAt: now)
            waits.append((allowed - now).components.seconds)
            now = allowed
            backoff.restarted(at: now)
        }
        #expect(waits == [0, 10, 20, 40, 80, 160, 300, 300])
        #expect(backoff.restartAllowed(endedAt: now + .seconds(600)) - now == .seconds(900))
        #expect(backoff.restartAllowed(endedAt: now + .seconds(601)) - now == .seconds(601))
    }
}
