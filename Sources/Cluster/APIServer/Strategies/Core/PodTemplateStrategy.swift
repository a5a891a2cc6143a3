// The rules of PodTemplates.

import Formats
import Objects

struct PodTemplateStrategy: Strategy {
    var hasGeneration: Bool { true }
    var returnsDeleted: Bool { true }

    func setDefaults(_ object: inout Object) {
        object.tree.edit("template") { $0.edit("spec", PodDefaults.fillSpec) }
    }

    func faults(in object: Object) -> [FieldFault] { Findings.of(object) { $1.podTemplate($0["template"]) } }
}
