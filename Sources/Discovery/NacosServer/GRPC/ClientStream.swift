// The stream that is a client's life: it sets the connection up, takes the answers to pushes, and carries the pushes.

import Catalogue
import Formats
import GRPCServing
import Logging

/// Whichever way it ends, the client's instances and subscriptions go at once.
struct ClientStream: GRPCConversation {
    let backend: Backend
    let logger: Logger
    private let connection: Connection

    init(backend: Backend, logger: Logger, peer: GRPCPeer, wake: @escaping @Sendable () -> Void) {
        self.backend = backend
        self.logger = logger
        connection = Connection(id: ConnectionName.make(peer: peer), peer: peer, wake: wake)
    }

    func received(_ message: [UInt8]) throws(GRPCStatus) {
        let payload = try Payload(message)
        connection.heard(now: .now)
        switch payload.type {
        case "ConnectionSetupRequest": try setUp(payload)
        // Clients do not agree on the type of an answer; its request's id says what it is to.
        case let type where type.hasSuffix("Response"): answered(payload)
        default:
            logger.warning(
                "nacos stream message of unknown type", metadata: ["type": .string(String(payload.type.prefix(80)))])
        }
    }

    func next() throws(GRPCStatus) -> [UInt8]? {
        while let step = connection.takeStep() {
            guard case .push(let subject, let again) = step else {
                throw GRPCStatus(.unavailable, "pushes were not answered")
            }
            let payloads = PushPayloads(backend: backend)
            if let payload = payloads.payload(for: subject, again: again, to: connection) { return payload.encoded }
        }
        return nil
    }

    func ended() {
        backend.connections.remove(connection)
        backend.catalogue.connectionClosed(connection.id, subscriber: connection.subscriber)
        logger.debug("nacos connection closed", metadata: ["connection": .string(connection.id)])
    }

    /// A client that says what it can do waits to hear what this server can.
    private func setUp(_ payload: Payload) throws(GRPCStatus) {
        let body: JSON
        do throws(NacosProblem) {
            body = try GRPCRequests.body(of: payload)
        } catch {
            throw GRPCStatus(.invalidArgument, error.description)
        }
        connection.introduce(
            version: body["clientVersion"]?.string ?? "", tag: body["labels"]?["Vipserver-Tag"]?.string)
        guard backend.connections.add(connection) else {
            throw GRPCStatus(.resourceExhausted, "there are \(ConnectionTable.limit) connections, the limit")
        }
        if body["abilityTable"]?.object != nil { connection.changed(.abilities) }
        logger.debug("nacos connection set up", metadata: ["connection": .string(connection.id)])
    }

    private func answered(_ payload: Payload) {
        do throws(NacosProblem) {
            let body = try GRPCRequests.body(of: payload)
            // An answer without the id is to nothing that is awaited.
            guard let requestID = body["requestId"]?.string, !requestID.isEmpty else { return }
            guard body["resultCode"]?.integer ?? 200 == 200 else { return }  // asked again when its time is up
            guard let taken = connection.answered(requestID: requestID) else { return }
            if case .service(let service) = taken.subject {
                backend.catalogue.acknowledge(connection.subscriber, service, version: taken.version)
            }
        } catch {
            logger.warning("nacos push answer not understood", metadata: ["problem": .string(error.description)])
        }
    }
}
