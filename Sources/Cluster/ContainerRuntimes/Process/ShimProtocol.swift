// What the runtime and a pod's shim say to each other: JSON messages, each after its length in four bytes.

import Formats
import Objects

/// What the runtime may ask of a shim.
enum ShimRequest: Sendable, Hashable {
    /// The sandbox's and every container's status.
    case list
    case create(id: String, ContainerConfig)
    case start(id: String)
    case stop(id: String, timeoutMilliseconds: Int)
    case remove(id: String)
    /// Keep a running container to other limits.
    case update(id: String, ContainerConfig.Resources)
    case execute(id: String, command: [String], timeoutMilliseconds: Int)
    /// Run a command whose standard streams come along as descriptors: input, output and error, or one terminal.
    case command(id: String, command: [String], hasTerminal: Bool)
    /// Copy the streams of the container's program from now on to the descriptors that come along: input, output,
    /// error.
    case attach(id: String)
    /// The size of the terminal that the container's program has.
    case resize(id: String, columns: Int, rows: Int)
    /// Kill every container and take no new ones.
    case stopAll
    /// Kill every container and exit.
    case end

    /// The request as a message; `number` comes back with its reply.
    func json(number: Int) -> JSON {
        var tree: JSON = ["number": JSON(number)]
        switch self {
        case .list: tree["ask"] = "list"
        case .create(let id, let config):
            tree["ask"] = "create"
            tree["id"] = .string(id)
            tree["config"] = config.json
        case .start(let id):
            tree["ask"] = "start"
            tree["id"] = .string(id)
        case .stop(let id, let timeout):
            tree["ask"] = "stop"
            tree["id"] = .string(id)
            tree["timeoutMilliseconds"] = JSON(timeout)
        case .remove(let id):
            tree["ask"] = "remove"
            tree["id"] = .string(id)
        case .update(let id, let resources):
            tree["ask"] = "update"
            tree["id"] = .string(id)
            resources.add(to: &tree)
        case .execute(let id, let command, let timeout):
            tree["ask"] = "execute"
            tree["id"] = .string(id)
            tree["command"] = .array(command.map { .string($0) })
            tree["timeoutMilliseconds"] = JSON(timeout)
        case .command(let id, let command, let hasTerminal):
            tree["ask"] = "command"
            tree["id"] = .string(id)
            tree["command"] = .array(command.map { .string($0) })
            tree["hasTerminal"] = .bool(hasTerminal)
        case .attach(let id):
            tree["ask"] = "attach"
            tree["id"] = .string(id)
        case .resize(let id, let columns, let rows):
            tree["ask"] = "resize"
            tree["id"] = .string(id)
            tree["columns"] = JSON(columns)
            tree["rows"] = JSON(rows)
        case .stopAll: tree["ask"] = "stopAll"
        case .end: tree["ask"] = "end"
        }
        return tree
    }

    init(json: JSON) throws(Problem) {
        let id = json["id"]?.string ?? ""
        let timeout = json["timeoutMilliseconds"]?.integer ?? 0
        switch json["ask"]?.string {
        case "list": self = .list
        case "create": self = .create(id: id, try ContainerConfig(json: json["config"] ?? .null))
        case "start": self = .start(id: id)
        case "stop": self = .stop(id: id, timeoutMilliseconds: timeout)
        case "remove": self = .remove(id: id)
        case "update": self = .update(id: id, ContainerConfig.Resources(json: json))
        case "execute":
            self = .execute(id: id, command: json["command"]?.strings ?? [], timeoutMilliseconds: timeout)
        case "command":
            self = .command(
                id: id, command: json["command"]?.strings ?? [], hasTerminal: json["hasTerminal"]?.bool ?? false)
        case "attach": self = .attach(id: id)
        case "resize":
            self = .resize(id: id, columns: json["columns"]?.integer ?? 80, rows: json["rows"]?.integer ?? 24)
        case "stopAll": self = .stopAll
        case "end": self = .end
        default: throw Problem(.badRequest, "the shim does not know \(json["ask"]?.string ?? "this request")")
        }
    }
}

/// What a shim says.
enum ShimMessage: Sendable {
    case answer(number: Int, JSON)
    case refusal(number: Int, Problem)
    case changed(ContainerStatus)

    var json: JSON {
        switch self {
        case .answer(let number, let answer): ["number": JSON(number), "answer": answer]
        case .refusal(let number, let problem): ["number": JSON(number), "problem": problem.status]
        case .changed(let status): ["changed": status.json]
        }
    }

    init(json: JSON) throws(Problem) {
        if let changed = json["changed"] {
            self = .changed(try ContainerStatus(json: changed))
        } else if let problem = json["problem"] {
            self = .refusal(number: json["number"]?.integer ?? 0, Problem(status: problem, code: 500))
        } else {
            self = .answer(number: json["number"]?.integer ?? 0, json["answer"] ?? .null)
        }
    }
}

/// Cuts a stream of bytes into messages.
struct ShimFrames {
    /// Longer messages are refused: an environment may carry whole ConfigMaps, but not more.
    static let lengthLimit = 8 << 20

    private var pending: [UInt8] = []

    static func frame(_ message: JSON) -> [UInt8] {
        let bytes = message.bytes
        let length = UInt32(bytes.count)
        var frame: [UInt8] = []
        frame.reserveCapacity(bytes.count + 4)
        for shift in [24, 16, 8, 0] { frame.append(UInt8(truncatingIfNeeded: length >> UInt32(shift))) }
        frame.append(contentsOf: bytes)
        return frame
    }

    mutating func received(_ bytes: some Sequence<UInt8>) throws(Problem) -> [JSON] {
        pending.append(contentsOf: bytes)
        var messages: [JSON] = []
        var start = 0
        while pending.count - start >= 4 {
            let length = pending[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
            guard length <= Self.lengthLimit else {
                throw Problem(.requestEntityTooLarge, "a message of \(length) bytes; the limit is \(Self.lengthLimit)")
            }
            guard pending.count - start - 4 >= length else { break }
            do {
                messages.append(try JSON(parsing: pending[start + 4..<start + 4 + length]))
            } catch {
                throw Problem(.badRequest, "a message that is no JSON: \(error)")
            }
            start += 4 + length
        }
        pending.removeFirst(start)
        return messages
    }
}
