// Objects as the tests of this room need them, and a clock that stands still.

import Formats
import Logging
import Objects
import Reconciling

@testable import Controllers

let noon = Timestamp(secondsSinceEpoch: 1_750_000_000)

let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}()

extension Object {
    /// As the server would store it.
    func stored(uid: String? = nil, at moment: Timestamp = noon, generation: Int = 1) -> Object {
        var stored = self
        if stored.namespace.isEmpty { stored.namespace = "shop" }
        stored.tree["metadata", "uid"] = .string(uid ?? "uid-\(name)")
        stored.tree["metadata", "creationTimestamp"] = .string(moment.rfc3339)
        stored.tree["metadata", "generation"] = JSON(generation)
        return stored
    }

    func going(_ moment: Timestamp = noon) -> Object {
        var going = self
        going.tree["metadata", "deletionTimestamp"] = .string(moment.rfc3339)
        return going
    }

    /// A pod in a phase; ready since `readySince`, if it is.
    func running(_ phase: String = "Running", readySince: Timestamp? = nil) -> Object {
        var pod = self
        pod.status["phase"] = .string(phase)
        if let readySince {
            pod.status["conditions"] = [
                ["type": "Ready", "status": "True", "lastTransitionTime": .string(readySince.rfc3339)]
            ]
        }
        return pod
    }

    func owned(by owner: Object) -> Object {
        var owned = self
        owned.ownerReferences = [OwnerReference(controller: owner)]
        return owned
    }
}

enum Thing {
    static func template(_ version: String = "1", app: String = "web") -> JSON {
        [
            "metadata": ["labels": ["app": .string(app)]],
            "spec": ["containers": [["name": "main", "image": .string("web:\(version)")]]],
        ]
    }

    static func workload(_ resource: Resource, _ name: String = "web", _ spec: JSON = [:]) -> Object {
        var object = Object(resource, namespace: "shop", name: name)
        var tree: JSON = ["selector": ["matchLabels": ["app": .string(name)]], "template": template(app: name)]
        for member in spec.object ?? JSONObject() { tree[member.key] = member.value }
        object.spec = tree
        return object.stored()
    }

    static func pod(_ name: String, app: String = "web", at moment: Timestamp = noon) -> Object {
        var pod = Object(.pods, namespace: "shop", name: name)
        pod.labels = ["app": app]
        pod.spec = ["containers": [["name": "main", "image": "web:1"]], "nodeName": "here"]
        return pod.stored(at: moment)
    }

    static func node(_ name: String, labels: [String: String] = [:], taints: [JSON] = []) -> Object {
        var node = Object(.nodes, name: name)
        node.labels = labels.merging(["kubernetes.io/hostname": name]) { own, _ in own }
        node.spec = taints.isEmpty ? [:] : ["taints": .array(taints)]
        node.status = [
            "conditions": [["type": "Ready", "status": "True"]],
            "allocatable": ["cpu": "4", "memory": "8Gi", "pods": "110"],
        ]
        var stored = node.stored()
        stored.namespace = ""
        return stored
    }
}
