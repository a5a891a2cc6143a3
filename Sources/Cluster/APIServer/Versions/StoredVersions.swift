// One stored object seen through several API versions: which version is stored, and how the others are made of it.

import Formats
import Objects

/// Conversion between the versions of a kind. Objects are stored in one version; every reader and writer sees its own.
enum StoredVersions {
    /// The resource under which objects of `resource` are stored: itself, unless it is another version's view.
    static func stored(_ resource: Resource) -> Resource {
        switch (resource.group, resource.version, resource.plural) {
        case ("events.k8s.io", "v1", "events"): .events
        case ("autoscaling", "v1", "horizontalpodautoscalers"): .horizontalPodAutoscalers
        default: resource
        }
    }

    /// Whether objects of the resource may be stored in another version than the one asked for, so that their stored
    /// bytes cannot be handed out as they are.
    static func needConversion(_ resource: Resource) -> Bool {
        resource.view != nil || stored(resource).apiVersion != resource.apiVersion
    }

    /// An object in the version of `resource`, whatever version it is in.
    static func convert(_ object: Object, to resource: Resource) -> Object {
        if let view = resource.view { return view.shown(object) }
        return switch (object.apiVersion, resource.apiVersion) {
        case (let from, let to) where from == to: object
        case ("v1", "events.k8s.io/v1"): EventVersions.modern(object)
        case ("events.k8s.io/v1", "v1"): EventVersions.legacy(object)
        case ("autoscaling/v2", "autoscaling/v1"): AutoscalerVersions.version1(object)
        case ("autoscaling/v1", "autoscaling/v2"): AutoscalerVersions.version2(object)
        default: object
        }
    }

    /// An object of `resource` in the version that is stored.
    static func forStorage(_ object: Object, of resource: Resource) -> Object {
        resource.view?.stored(object) ?? forStorage(object)
    }

    /// An object of a built-in kind in the version that is stored.
    static func forStorage(_ object: Object) -> Object {
        switch object.apiVersion {
        case "events.k8s.io/v1": EventVersions.legacy(object)
        case "autoscaling/v1": object.kind == "HorizontalPodAutoscaler" ? AutoscalerVersions.version2(object) : object
        default: object
        }
    }
}

extension Resource {
    static let horizontalPodAutoscalers = Resource(
        group: "autoscaling", version: "v2", kind: "HorizontalPodAutoscaler", plural: "horizontalpodautoscalers")
}

/// Runs the rules that are written for the stored version on objects of another version.
struct ConvertedStrategy: Strategy {
    let base: any Strategy
    /// The version that requests are in.
    let resource: Resource

    var nameRule: NameRules.Rule { base.nameRule }
    var hasStatus: Bool { base.hasStatus }
    var hasGeneration: Bool { base.hasGeneration }
    var returnsDeleted: Bool { base.returnsDeleted }
    var statusKeepsLabels: Bool { base.statusKeepsLabels }
    var selectableFields: [String] { [] }

    func setDefaults(_ object: inout Object) { through(&object) { base.setDefaults(&$0) } }
    func prepareForCreate(_ object: inout Object) { through(&object) { base.prepareForCreate(&$0) } }
    func prepareForUpdate(_ object: inout Object, from old: Object) {
        let stored = StoredVersions.forStorage(old)
        through(&object) { base.prepareForUpdate(&$0, from: stored) }
    }
    func faults(in object: Object) -> [FieldFault] { base.faults(in: StoredVersions.forStorage(object)) }
    func creationFaults(in object: Object) -> [FieldFault] {
        base.creationFaults(in: StoredVersions.forStorage(object))
    }
    func faults(in object: Object, from old: Object) -> [FieldFault] {
        base.faults(in: StoredVersions.forStorage(object), from: StoredVersions.forStorage(old))
    }
    func gracePeriodSeconds(of object: Object, asked: Int?) -> Int? {
        base.gracePeriodSeconds(of: object, asked: asked)
    }

    private func through(_ object: inout Object, _ change: (inout Object) -> Void) {
        var stored = StoredVersions.forStorage(object)
        change(&stored)
        object = StoredVersions.convert(stored, to: resource)
    }
}
