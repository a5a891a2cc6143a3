// The four letters that an operator sends instead of a greeting, and the texts they get (ZooKeeper's Command classes).

/// The words that are answered; anything else is no protocol.
enum FourLetterWord: String, Sendable {
    case ruok, srvr, stat, mntr, envi, cons, conf, isro, dump, wchs
}

extension Keeper {
    /// The version whose protocol is spoken; clients choose what they dare to ask by it.
    static let protocolVersion = "3.8.0"

    func answer(to word: FourLetterWord) -> String {
        switch word {
        case .ruok: "imok"
        case .isro: "rw"
        case .srvr: serverText
        case .stat:
            "Zookeeper version: \(Self.protocolVersion)-mangrove\nClients:\n" + clientLines + "\n" + statisticsText
        case .cons: clientLines + "\n"
        case .mntr: monitorText
        case .envi: "Environment:\nzookeeper.version=\(Self.protocolVersion)-mangrove\nserver.name=mangrove\n"
        case .conf: configurationText
        case .dump: dumpText
        case .wchs:
            "\(watches.sessionCount) connections watching \(watches.pathCount) paths\nTotal watches:\(watches.count)\n"
        }
    }

    private var serverText: String { "Zookeeper version: \(Self.protocolVersion)-mangrove\n" + statisticsText }

    private var statisticsText: String {
        """
        Received: \(counters.received)
        Sent: \(counters.sent)
        Connections: \(connections.count)
        Outstanding: \(outstanding)
        Zxid: 0x\(String(durableZxid, radix: 16))
        Mode: standalone
        Node count: \(tree.count)

        """
    }

    var outstanding: Int { connections.values.reduce(0) { $0 + $1.outbox.heldCount } }

    private var clientLines: String {
        var text = ""
        for connection in connections.values.sorted(by: { $0.number < $1.number }) {
            let port = connection.channel.remoteAddress?.port ?? 0
            text += " /\(connection.address):\(port)[\(connection.session == 0 ? 0 : 1)]"
            text += "(queued=\(connection.outbox.heldCount),recved=\(connection.received),sent=\(connection.sent)"
            if connection.session != 0 {
                text +=
                    ",sid=0x\(String(connection.session, radix: 16)),to=\(sessions.timeout(of: connection.session) ?? 0)"
            }
            text += ")\n"
        }
        return text
    }

    private var monitorText: String {
        let words = [("version", Self.protocolVersion + "-mangrove"), ("server_state", "standalone")]
        return (words + facts.map { ($0.name, String($0.value)) }).map { "zk_\($0.0)\t\($0.1)\n" }.joined()
    }

    private var configurationText: String {
        """
        tickTime=\(SessionMachine.tickMilliseconds)
        minSessionTimeout=\(SessionMachine.shortestTimeoutMilliseconds)
        maxSessionTimeout=\(SessionMachine.longestTimeoutMilliseconds)
        maxConnections=\(limits.connections)
        jute.maxbuffer=\(limits.frameBytes)
        serverId=1

        """
    }

    private var dumpText: String {
        var text = "SessionTracker dump:\nGlobal Sessions(\(sessions.count)):\n"
        for session in sessions.sessions {
            text += "0x\(String(session.id, radix: 16))\t\(session.timeoutMilliseconds)ms\n"
        }
        text += "ephemeral nodes dump:\nSessions with Ephemerals (\(tree.ephemerals.count)):\n"
        for (session, paths) in tree.ephemerals.sorted(by: { $0.key < $1.key }) {
            text += "0x\(String(session, radix: 16)):\n"
            for path in paths.sorted() { text += "\t\(path)\n" }
        }
        return text + "Connections dump:\n" + clientLines
    }
}
