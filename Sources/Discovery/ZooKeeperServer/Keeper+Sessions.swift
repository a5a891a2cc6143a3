// Clients that greet: a new session, or one that is resumed; and the end of sessions.

import Logging
import NIOCore

extension Keeper {
    func greeted(_ greeting: Greeting, _ connection: Connection) {
        guard greeting.lastZxid <= tree.zxid else {
            logger.warning(
                "a zookeeper client has seen a later state than this one, as after a restored backup; it is sent away",
                metadata: ["client": .string(connection.address)])
            return close(connection)
        }
        let session: Session
        if greeting.session == 0 {
            let password = (0..<SessionMachine.passwordBytes).map { _ in UInt8.random(in: .min ... .max, using: &random)
            }
            guard
                let made = sessions.began(
                    wanting: greeting.timeoutMilliseconds, password: password, connection: connection.number,
                    now: Self.now)
            else {
                logger.warning("there are \(limits.sessions) zookeeper sessions, the limit; one more was refused")
                return close(connection)
            }
            session = made
            tree.sessionBegan()
            sessionsToStore[session.id] = session
        } else {
            switch sessions.returned(
                greeting.session, password: greeting.password, wanting: greeting.timeoutMilliseconds,
                connection: connection.number, now: Self.now)
            {
            case .unknown:
                welcome(connection, nil, greeting)
                return leave(connection)
            case .resumed(let resumed, let displaced):
                session = resumed
                tree.sessionBegan()
                sessionsToStore[session.id] = session
                if let displaced, let other = connections[displaced] {
                    watches.disconnected(session.id)
                    close(other)
                }
            }
        }
        connection.session = session.id
        connection.caller.session = session.id
        welcome(connection, session, greeting)
    }

    private func welcome(_ connection: Connection, _ session: Session?, _ greeting: Greeting) {
        send(to: connection, after: session == nil ? 0 : tree.zxid) { bytes, _ in
            bytes.writeJute(Int32(0))
            bytes.writeJute(session?.timeoutMilliseconds ?? 0)
            bytes.writeJute(session?.id ?? 0)
            bytes.writeJute(session?.password ?? [UInt8](repeating: 0, count: SessionMachine.passwordBytes))
            if greeting.isModern { bytes.writeJute(false) }
        }
        changed()
    }

    func end(_ session: Int64) {
        sessions.ended(session)
        watches.disconnected(session)
        tree.sessionEnded(session)
        sessionsToStore[session] = nil
        sessionsToRemove.append(session)
        views?.disconnected(session)
        changed()
    }
}
