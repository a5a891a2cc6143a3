// Signs approved certificate requests and clears away old ones
// (upstream: pkg/controller/certificates/signer and cleaner).

import Client
import Formats
import Logging
import Objects
import Reconciling

/// Decides what becomes of one certificate signing request.
enum CertificateRequestMachine {
    /// How long a request stays, in seconds: undecided a day, decided an hour.
    static let pendingSeconds: Int64 = 86_400
    static let decidedSeconds: Int64 = 3600

    enum Decision: Sendable, Equatable {
        case sign
        case delete
        case wait(seconds: Int64)
    }

    static func decide(_ request: Object, now: Timestamp) -> Decision {
        let isIssued = !(request.status["certificate"]?.string ?? "").isEmpty
        let isRefused = request.condition("Denied") != nil || request.condition("Failed") != nil
        let created = request.creationTimestamp.flatMap(Timestamp.init(rfc3339:)) ?? now
        var since = created
        var limit = pendingSeconds
        let verdict = request.condition("Denied") ?? request.condition("Failed") ?? request.condition("Approved")
        if isRefused || isIssued, let verdict {
            limit = decidedSeconds
            since = verdict["lastUpdateTime"]?.string.flatMap(Timestamp.init(rfc3339:)) ?? created
        }
        let left = since.secondsSinceEpoch + limit - now.secondsSinceEpoch
        if left <= 0 { return .delete }
        if request.condition("Approved") != nil, !isRefused, !isIssued { return .sign }
        return .wait(seconds: left)
    }
}

/// The shell of `CertificateRequestMachine`.
struct CertificateController: Sendable {
    let client: KubernetesClient
    let requests: Informer
    let sign: AccessLoops.Sign
    let clock: WallClock
    let logger: Logger

    func connect() -> Reconciler<ObjectKey> {
        let reconciler = Reconciler<ObjectKey>(name: "certificates", logger: logger, reconcile: reconcile)
        requests.onChange { reconciler.enqueue($0.key) }
        return reconciler
    }

    func reconcile(_ key: ObjectKey) async throws -> Outcome {
        guard let request = requests.get(key) else { return .done }
        switch CertificateRequestMachine.decide(request, now: clock.now()) {
        case .wait(let seconds): return .again(after: .seconds(seconds))
        case .delete:
            do {
                _ = try await client.delete(.certificateRequests, key, uid: request.uid)
            } catch let problem as Problem where problem.reason == .notFound {}
            return .done
        case .sign:
            guard let status = try status(of: request) else {
                // Somebody else signs; look again only to clear it away.
                return .again(after: .seconds(CertificateRequestMachine.pendingSeconds))
            }
            var signed = request
            signed.status = status
            _ = try await client.update(.certificateRequests, signed, subresource: "status")
            return .done
        }
    }

    /// The status with the certificate, or with why there will never be one; nil when the signer is somebody else.
    private func status(of request: Object) throws -> JSON? {
        var status = request.status
        do throws(Problem) {
            guard let certificate = try sign(request) else { return nil }
            status["certificate"] = .string(Base64.encode(Array(certificate.utf8)))
        } catch {
            guard error.reason == .badRequest else { throw error }
            var conditions = Conditions(status, now: clock.now())
            conditions.set(
                "Failed", "True", reason: "SignerValidationFailure", message: error.message, hasUpdateTime: true)
            status["conditions"] = conditions.json
        }
        return status
    }
}
