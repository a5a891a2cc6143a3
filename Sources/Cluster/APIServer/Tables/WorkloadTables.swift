// The rows of kinds that run pods.

import Formats
import Objects

extension TablePrinter {
    static let deployments = TablePrinter(
        "Name", "Ready", "Up-to-date", "Available", "Age", "Containers+", "Images+", "Selector+"
    ) { object, now in
        let containers = Cell.containers(object["spec", "template", "spec"])
        let ready = object["status", "readyReplicas"]?.integer ?? 0
        return [
            .string(object.name), .string("\(ready)/\(object["spec", "replicas"]?.integer ?? 0)"),
            .string(Cell.count(object["status", "updatedReplicas"]).text),
            .string(Cell.count(object["status", "availableReplicas"]).text), Cell.age(object, now), containers.names,
            containers.images, Cell.selector(object["spec", "selector"]),
        ]
    }

    static let replicaSets = TablePrinter(
        "Name", "Desired#", "Current#", "Ready#", "Age", "Containers+", "Images+", "Selector+"
    ) { object, now in
        let containers = Cell.containers(object["spec", "template", "spec"])
        return [
            .string(object.name), Cell.count(object["spec", "replicas"]), Cell.count(object["status", "replicas"]),
            Cell.count(object["status", "readyReplicas"]), Cell.age(object, now), containers.names, containers.images,
            Cell.selector(object["spec", "selector"]),
        ]
    }

    static let replicationControllers = TablePrinter(
        "Name", "Desired#", "Current#", "Ready#", "Age", "Containers+", "Images+", "Selector+"
    ) { object, now in
        let containers = Cell.containers(object["spec", "template", "spec"])
        return [
            .string(object.name), Cell.count(object["spec", "replicas"]), Cell.count(object["status", "replicas"]),
            Cell.count(object["status", "readyReplicas"]), Cell.age(object, now), containers.names, containers.images,
            Cell.labels(object["spec", "selector"]),
        ]
    }

    static let statefulSets = TablePrinter("Name", "Ready", "Age", "Containers+", "Images+") { object, now in
        let containers = Cell.containers(object["spec", "template", "spec"])
        let ready = object["status", "readyReplicas"]?.integer ?? 0
        return [
            .string(object.name), .string("\(ready)/\(object["spec", "replicas"]?.integer ?? 0)"),
            Cell.age(object, now), containers.names, containers.images,
        ]
    }

    static let daemonSets = TablePrinter(
        "Name", "Desired#", "Current#", "Ready#", "Up-to-date#", "Available#", "Node Selector", "Age", "Containers+",
        "Images+", "Selector+"
    ) { object, now in
        let containers = Cell.containers(object["spec", "template", "spec"])
        let counts = [
            "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled",
            "numberAvailable",
        ]
        return [.string(object.name)] + counts.map { Cell.count(object["status", $0]) } + [
            Cell.labels(object["spec", "template", "spec", "nodeSelector"]), Cell.age(object, now), containers.names,
            containers.images, Cell.selector(object["spec", "selector"]),
        ]
    }

    static let jobs = TablePrinter(
        "Name", "Status", "Completions", "Duration", "Age", "Containers+", "Images+", "Selector+"
    ) { object, now in
        let containers = Cell.containers(object["spec", "template", "spec"])
        return [
            .string(object.name), .string(jobState(object)), .string(jobCompletions(object)),
            Cell.duration(object["status", "startTime"], object["status", "completionTime"], now),
            Cell.age(object, now), containers.names, containers.images, Cell.selector(object["spec", "selector"]),
        ]
    }

    private static func jobState(_ job: Object) -> String {
        if job.isTrue("Complete") { return "Complete" }
        if job.isTrue("Failed") { return "Failed" }
        if job.isTerminating { return "Terminating" }
        return ["Suspended", "FailureTarget", "SuccessCriteriaMet"].first(where: job.isTrue) ?? "Running"
    }

    private static func jobCompletions(_ job: Object) -> String {
        let succeeded = job["status", "succeeded"]?.integer ?? 0
        if let wanted = job["spec", "completions"]?.integer { return "\(succeeded)/\(wanted)" }
        let parallelism = job["spec", "parallelism"]?.integer ?? 0
        return parallelism > 1 ? "\(succeeded)/1 of \(parallelism)" : "\(succeeded)/1"
    }

    static let cronJobs = TablePrinter(
        "Name", "Schedule", "Timezone", "Suspend?", "Active#", "Last Schedule", "Age", "Containers+", "Images+",
        "Selector+"
    ) { object, now in
        let job = object["spec", "jobTemplate", "spec"]
        let containers = Cell.containers(job?["template"]?["spec"])
        let last = object["status", "lastScheduleTime"]?.string
        return [
            .string(object.name), Cell.text(object["spec", "schedule"]),
            Cell.text(object["spec", "timeZone"], orElse: Cell.none), Cell.truth(object["spec", "suspend"]),
            JSON(object["status", "active"]?.array?.count ?? 0),
            last == nil ? .string(Cell.none) : Cell.since(last, now), Cell.age(object, now), containers.names,
            containers.images, Cell.selector(job?["selector"]),
        ]
    }

    static let podTemplates = TablePrinter("Name", "Containers", "Images", "Pod Labels") { object, _ in
        let containers = Cell.containers(object["template", "spec"])
        return [
            .string(object.name), containers.names, containers.images,
            Cell.labels(object["template", "metadata", "labels"]),
        ]
    }

    static let podDisruptionBudgets = TablePrinter(
        "Name", "Min Available", "Max Unavailable", "Allowed Disruptions#", "Age"
    ) { object, now in
        [
            .string(object.name), Cell.intOrText(object["spec", "minAvailable"], orElse: "N/A"),
            Cell.intOrText(object["spec", "maxUnavailable"], orElse: "N/A"),
            Cell.count(object["status", "disruptionsAllowed"]), Cell.age(object, now),
        ]
    }

    static let controllerRevisions = TablePrinter("Name", "Controller", "Revision", "Age") { object, now in
        var controller = Cell.none
        if let owner = object.controllerReference {
            let group = owner.apiVersion.contains("/") ? "." + owner.apiVersion.prefix { $0 != "/" } : ""
            controller = "\(owner.kind.lowercased())\(group)/\(owner.name)"
        }
        return [
            .string(object.name), .string(controller), .string(String(object["revision"]?.integer ?? 0)),
            Cell.age(object, now),
        ]
    }
}
