// The resources that the controllers and the scheduler work with, beside those that everybody does.

extension Resource {
    package static let statefulSets = Resource(
        group: "apps", version: "v1", kind: "StatefulSet", plural: "statefulsets")
    package static let daemonSets = Resource(group: "apps", version: "v1", kind: "DaemonSet", plural: "daemonsets")
    package static let controllerRevisions = Resource(
        group: "apps", version: "v1", kind: "ControllerRevision", plural: "controllerrevisions")
    package static let replicationControllers = Resource(
        group: "", version: "v1", kind: "ReplicationController", plural: "replicationcontrollers")
    package static let jobs = Resource(group: "batch", version: "v1", kind: "Job", plural: "jobs")
    package static let cronJobs = Resource(group: "batch", version: "v1", kind: "CronJob", plural: "cronjobs")
    package static let persistentVolumes = Resource(
        group: "", version: "v1", kind: "PersistentVolume", plural: "persistentvolumes", isNamespaced: false)
    package static let persistentVolumeClaims = Resource(
        group: "", version: "v1", kind: "PersistentVolumeClaim", plural: "persistentvolumeclaims")
    package static let storageClasses = Resource(
        group: "storage.k8s.io", version: "v1", kind: "StorageClass", plural: "storageclasses", isNamespaced: false)
    package static let podDisruptionBudgets = Resource(
        group: "policy", version: "v1", kind: "PodDisruptionBudget", plural: "poddisruptionbudgets")
    package static let horizontalPodAutoscalers = Resource(
        group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler", plural: "horizontalpodautoscalers")
}
