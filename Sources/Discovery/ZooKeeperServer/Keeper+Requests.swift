// What each request of a client does and answers.

import NIOCore

extension Keeper {
    func answer(_ request: Request, xid: Int32, opcode: Int32, _ connection: Connection) {
        switch request {
        case .change(let change): answerChange(change, xid, connection)
        case .multi(let changes): answerMulti(changes, xid, connection)
        case .multiRead(let reads): answerMultiRead(reads, xid, connection)
        case .exists, .getData, .getChildren, .getACL: answerRead(request, xid, connection)
        case .sync(let path): answer(xid, connection, after: tree.zxid) { $0.writeJute(path) }
        case .ping: answer(xid, connection, after: 0)
        case .auth(let scheme, let proof): answerAuth(scheme, proof, xid, connection)
        case .setWatches(let list): answerSetWatches(list, xid, connection)
        case .addWatch(let path, let mode): answerAddWatch(path, mode, xid, connection)
        case .findWatch(let path, let kind, let removes): answerFindWatch(path, kind, removes, xid, connection)
        case .getEphemerals(let prefix):
            let paths = (tree.ephemerals[connection.session] ?? []).filter { prefix.isEmpty || $0.hasPrefix(prefix) }
                .sorted()
            answer(xid, connection, after: tree.zxid) { $0.writeJute(paths) }
        case .countDescendants(let path): answerCount(path, xid, connection)
        case .whoAmI:
            let identities = connection.caller.identities
            answer(xid, connection, after: 0) { bytes in
                bytes.writeJute(Int32(identities.count))
                for identity in identities {
                    bytes.writeJute(identity.scheme)
                    bytes.writeJute(identity.publicName)
                }
            }
        case .closeSession:
            end(connection.session)
            answer(xid, connection, after: tree.zxid)
            leave(connection)
        case .refused(let code):
            fail(xid, connection, code)
            if opcode == Opcode.sasl { leave(connection) }
        }
    }

    // MARK: The shape of answers

    func answer(
        _ xid: Int32, _ connection: Connection, after zxid: Int64, _ body: (inout ByteBuffer) -> Void = { _ in }
    ) {
        send(to: connection, after: zxid) { bytes, told in
            bytes.writeMultipleIntegers(xid, told, Int32(0))
            body(&bytes)
        }
    }

    /// A refusal rests on what was seen, as an answer does.
    func fail(_ xid: Int32, _ connection: Connection, _ code: ErrorCode, after zxid: Int64 = 0) {
        send(to: connection, after: zxid) { bytes, told in bytes.writeMultipleIntegers(xid, told, code.number) }
    }

    // MARK: Changes

    private func answerChange(_ change: Change, _ xid: Int32, _ connection: Connection) {
        views?.beforeAccess(change.path, in: self)
        do throws(ErrorCode) {
            let result = try tree.apply(change, by: connection.caller, time: Self.time)
            answer(xid, connection, after: tree.zxid) { $0.writeJute(result) }
            changed()
        } catch {
            fail(xid, connection, error, after: tree.seenZxid(at: change.path))
        }
    }

    private func answerMulti(_ changes: [Change], _ xid: Int32, _ connection: Connection) {
        for change in changes { views?.beforeAccess(change.path, in: self) }
        let outcome = tree.applyAll(changes, by: connection.caller, time: Self.time)
        answer(xid, connection, after: tree.zxid) { bytes in
            switch outcome {
            case .success(let results):
                for (change, result) in zip(changes, results) {
                    bytes.writeMultiHeader(change.opcode(for: result), isDone: false, 0)
                    bytes.writeJute(result)
                }
            case .failure(let failure):
                for place in changes.indices {
                    let code: ErrorCode =
                        place < failure.place ? .ok : place == failure.place ? failure.code : .runtimeInconsistency
                    bytes.writeMultiHeader(Opcode.error, isDone: false, code.number)
                    bytes.writeJute(code.number)
                }
            }
            bytes.writeMultiHeader(Opcode.error, isDone: true, -1)
        }
        changed()
    }

    // MARK: Reads

    /// The znode, when it is there and the client may read it.
    private func readable(_ path: String, _ wanted: Permissions, _ connection: Connection) throws(ErrorCode) -> Node {
        guard Path.isValid(path) else { throw .badArguments }
        guard let node = tree.nodes[path] else { throw .noNode }
        guard tree.permits(node.access, wanted, connection.caller) else { throw .noAuth }
        return node
    }

    private func answerRead(_ request: Request, _ xid: Int32, _ connection: Connection) {
        views?.beforeAccess(request.path, in: self)
        do throws(ErrorCode) {
            switch request {
            case .exists(let path, let watch):
                guard Path.isValid(path) else { throw .badArguments }
                if watch { try addWatch(.data, path, connection) }
                guard let node = tree.nodes[path] else {
                    return fail(xid, connection, .noNode, after: tree.seenZxid(at: path))
                }
                answer(xid, connection, after: node.changedZxid) { $0.writeJute(node.stat) }
            case .getData(let path, let watch):
                let node = try readable(path, .read, connection)
                if watch { try addWatch(.data, path, connection) }
                answer(xid, connection, after: node.changedZxid) { bytes in
                    bytes.writeJute(node.data)
                    bytes.writeJute(node.stat)
                }
            case .getChildren(let path, let watch, let wantsStat):
                let node = try readable(path, .read, connection)
                if watch { try addWatch(.children, path, connection) }
                views?.listed(path, by: connection.session, keepsWatch: watch)
                answer(xid, connection, after: node.changedZxid) { bytes in
                    bytes.writeJute(node.children)
                    if wantsStat { bytes.writeJute(node.stat) }
                }
            case .getACL(let path):
                let node = try readable(path, [.read, .admin], connection)
                let list = tree.access[node.access]
                let shown = tree.permits(node.access, .admin, connection.caller) ? list : list.withoutProofs
                answer(xid, connection, after: node.changedZxid) { bytes in
                    bytes.writeJute(shown)
                    bytes.writeJute(node.stat)
                }
            default: throw .unimplemented
            }
        } catch {
            fail(xid, connection, error, after: tree.seenZxid(at: request.path))
        }
    }

    private func answerMultiRead(
        _ reads: [(path: String, wantsChildren: Bool)], _ xid: Int32, _ connection: Connection
    ) {
        let seen = reads.map { tree.seenZxid(at: $0.path) }.max() ?? 0
        answer(xid, connection, after: seen) { bytes in
            for (path, wantsChildren) in reads {
                do throws(ErrorCode) {
                    let node = try readable(path, .read, connection)
                    bytes.writeMultiHeader(wantsChildren ? Opcode.getChildren : Opcode.getData, isDone: false, 0)
                    if wantsChildren {
                        bytes.writeJute(node.children)
                    } else {
                        bytes.writeJute(node.data)
                        bytes.writeJute(node.stat)
                    }
                } catch {
                    bytes.writeMultiHeader(Opcode.error, isDone: false, error.number)
                    bytes.writeJute(error.number)
                }
            }
            bytes.writeMultiHeader(Opcode.error, isDone: true, -1)
        }
    }

    private func answerCount(_ path: String, _ xid: Int32, _ connection: Connection) {
        do throws(ErrorCode) {
            _ = try readable(path, .read, connection)
            let below = path == "/" ? tree.count - 1 : tree.descendantCount(of: path)
            answer(xid, connection, after: tree.zxid) { $0.writeJute(Int32(clamping: below)) }
        } catch {
            fail(xid, connection, error, after: tree.seenZxid(at: path))
        }
    }

    // MARK: Who is asking

    private func answerAuth(_ scheme: String, _ proof: [UInt8], _ xid: Int32, _ connection: Connection) {
        let identity: Identity? =
            switch scheme {
            case "digest" where proof.count <= limits.greetingBytes: Identity.digest(proof: proof)
            case "ip": Identity(scheme: "ip", id: connection.address)
            default: nil
            }
        guard let identity, connection.caller.identities.count < limits.identities else {
            fail(xid, connection, .authFailed)
            return leave(connection)
        }
        if !connection.caller.identities.contains(identity) { connection.caller.identities.append(identity) }
        answer(xid, connection, after: 0)
    }
}

extension Change {
    var path: String {
        switch self {
        case .create(let creation, _): creation.path
        case .delete(let path, _), .setData(let path, _, _), .setACL(let path, _, _), .check(let path, _): path
        }
    }

    /// What a multi's answer calls it.
    func opcode(for result: ChangeResult) -> Int32 {
        switch self {
        case .create(let creation, let answersStat):
            switch creation.mode {
            case .container: Opcode.createContainer
            case .ttl: Opcode.createTTL
            case .persistent, .ephemeral: answersStat ? Opcode.create2 : Opcode.create
            }
        case .delete: Opcode.delete
        case .setData: Opcode.setData
        case .setACL: Opcode.setACL
        case .check: Opcode.check
        }
    }
}

extension Request {
    fileprivate var path: String {
        switch self {
        case .exists(let path, _), .getData(let path, _), .getChildren(let path, _, _), .getACL(let path): path
        default: "/"
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func writeJute(_ result: ChangeResult) {
        switch result {
        case .created(let path, let stat):
            writeJute(path)
            if let stat { writeJute(stat) }
        case .set(let stat): writeJute(stat)
        case .deleted, .checked: break
        }
    }

    fileprivate mutating func writeMultiHeader(_ opcode: Int32, isDone: Bool, _ code: Int32) {
        writeJute(opcode)
        writeJute(isDone)
        writeJute(code)
    }
}
