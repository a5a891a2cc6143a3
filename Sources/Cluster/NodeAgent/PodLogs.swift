// Finds a container's log files and reads them as `kubectl logs` wants them.

import Formats
import Objects

/// What of a log is wanted (`core/v1 PodLogOptions`).
package struct LogReading: Sendable, Hashable {
    /// Empty means the pod's only container.
    package var container: String
    package var follows: Bool
    /// The last lines only; nil for all.
    package var tailLines: Int?
    /// Lines written at or after this time only; `sinceSeconds` is the caller's to turn into a time.
    package var since: Timestamp?
    /// The run before the current one.
    package var isPrevious: Bool
    /// Begin every line with its time.
    package var showsTimestamps: Bool
    package var limitBytes: Int?

    package init(
        container: String = "", follows: Bool = false, tailLines: Int? = nil, since: Timestamp? = nil,
        isPrevious: Bool = false, showsTimestamps: Bool = false, limitBytes: Int? = nil
    ) {
        self.container = container
        self.follows = follows
        self.tailLines = tailLines
        self.since = since
        self.isPrevious = isPrevious
        self.showsTimestamps = showsTimestamps
        self.limitBytes = limitBytes
    }
}

/// The logs below one directory: `<namespace>_<name>_<uid>/<container>/<restart>.log`, in CRI format.
package struct PodLogs: Sendable {
    package let directory: String

    /// `directory` is `NodeConfiguration.directory` with `/logs`.
    package init(directory: String) { self.directory = directory }

    static func directory(below logs: String, namespace: String, name: String, uid: String) -> String {
        "\(logs)/\(namespace)_\(name)_\(uid)"
    }

    /// The uid that such a directory's name ends with.
    static func uid(ofDirectory name: String) -> String { name.split(separator: "_").last.map(String.init) ?? "" }

    /// Opens a container's log. `isRunning` says whether the named container may still write; only following asks.
    package func open(
        _ pod: Object, _ options: LogReading, isRunning: @escaping @Sendable (String) async -> Bool
    ) throws(Problem) -> LogStream {
        let all: [JSON] = ["initContainers", "containers", "ephemeralContainers"].flatMap { pod.spec[$0]?.array ?? [] }
        let containers: [String] = all.compactMap { $0["name"]?.string }
        let container = try Self.container(options.container, of: containers, pod)
        let path =
            Self.directory(below: directory, namespace: pod.namespace, name: pod.name, uid: pod.uid)
            + "/" + container
        let names: [String] = Files.names(in: path).filter { $0.hasSuffix(".log") }
        let attempts: [Int] = names.compactMap { Int($0.dropLast(4)) }.sorted()
        let wanted: Int? = options.isPrevious ? attempts.dropLast().last : attempts.last
        guard let wanted else {
            if options.isPrevious {
                throw .badRequest("previous terminated container \"\(container)\" in pod \"\(pod.name)\" not found")
            }
            throw Self.waiting(container, pod)
        }
        let follows = options.follows && !options.isPrevious
        let mayGrow: @Sendable () async -> Bool = { await isRunning(container) }
        // What was put aside of this run, by time.
        let older = Files.names(in: path).filter { $0.hasPrefix("\(wanted).log.") }.map { "\(path)/\($0)" }
        return try LogStream(path: "\(path)/\(wanted).log", older: older, options, isRunning: follows ? mayGrow : nil)
    }

    private static func container(_ name: String, of names: [String], _ pod: Object) throws(Problem) -> String {
        if !name.isEmpty {
            guard names.contains(name) else {
                throw .badRequest("container \(name) is not valid for pod \(pod.name)")
            }
            return name
        }
        let main = (pod.spec["containers"]?.array ?? []).compactMap { $0["name"]?.string }
        if let usual = pod.annotations["kubectl.kubernetes.io/default-container"], names.contains(usual) {
            return usual
        }
        guard main.count == 1 else {
            throw .badRequest(
                "a container name must be specified for pod \(pod.name), choose one of: [\(names.joined(separator: " "))]"
            )
        }
        return main[0]
    }

    private static func waiting(_ container: String, _ pod: Object) -> Problem {
        let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"]
        let statuses: [JSON] = lists.flatMap { pod.status[$0]?.array ?? [] }
        let status = statuses.first { $0["name"]?.string == container }
        let reason = status?["state", "waiting", "reason"]?.string ?? "ContainerCreating"
        return .badRequest("container \"\(container)\" in pod \"\(pod.name)\" is waiting to start: \(reason)")
    }
}
