// Validation of volume mounts and devices. Some paths are upstream's own slips and kept, because they are what clients
// see.

import Formats

extension Findings {
    mutating func mounts(_ container: Field, _ context: PodSpecContext) {
        let list = container["volumeMounts"]
        let devices = container["volumeDevices"].elements
        let deviceNames = Set(devices.map { $0["name"].text })
        let devicePaths = Set(devices.map { $0["devicePath"].text })
        var paths: Set<String> = []
        for mount in list.elements {
            let name = mount["name"]
            let path = mount["mountPath"]
            needs(name)
            if context.volumes[name.text] == nil { notFound(name) }
            needs(path)
            if !paths.insert(path.text).inserted { invalid(path, value: .string(path.text), "must be unique") }
            if deviceNames.contains(name.text) { invalid(name, "must not already exist in volumeDevices") }
            if devicePaths.contains(path.text) { invalid(path, "must not already exist as a path in volumeDevices") }
            if context.volumes[name.text]?["image"].exists == true {
                for part in ["subPath", "subPathExpr"] where !mount[part].isEmpty {
                    invalid(mount[part], "not allowed in image volume sources")
                }
            }
            if !mount["subPath"].isEmpty { descendingPath(mount["subPath"], at: list["subPath"]) }
            if !mount["subPathExpr"].isEmpty {
                if !mount["subPath"].isEmpty {
                    invalid(mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
                }
                descendingPath(mount["subPathExpr"], at: list["subPathExpr"])
            }
            propagation(mount, of: container, in: list)
        }
    }

    private mutating func propagation(_ mount: Field, of container: Field, in list: Field) {
        let mode = mount["mountPropagation"]
        let place = list["mountPropagation"]
        if mode.exists {
            let known = ["Bidirectional", "HostToContainer", "None"]
            if !known.contains(mode.text) { notSupported(place, known, value: mode.value) }
            if mode.text == "Bidirectional", !container["securityContext"]["privileged"].isTrue {
                forbidden(place, "Bidirectional mount propagation is available only to privileged containers")
            }
        }
        let recursive = mount["recursiveReadOnly"]
        switch recursive.text {
        case "Enabled", "IfPossible":
            if !mount["readOnly"].isTrue {
                forbidden(list["recursiveReadOnly"], "may only be specified when readOnly is true")
            }
            if mode.exists, mode.text != "None" {
                let why = "may only be specified when mountPropagation is None or not specified"
                forbidden(list["recursiveReadOnly"], why)
            }
        case "Disabled": break
        default:
            if recursive.exists {
                let known = ["Disabled", "Enabled", "IfPossible"]
                notSupported(list["recursiveReadOnly"], known, value: recursive.value)
            }
        }
    }

    mutating func devices(_ container: Field, _ context: PodSpecContext) {
        let mounts = container["volumeMounts"].elements
        let mountNames = Set(mounts.map { $0["name"].text })
        let mountPaths = Set(mounts.map { $0["mountPath"].text })
        var names: Set<String> = []
        var paths: Set<String> = []
        for device in container["volumeDevices"].elements {
            let name = device["name"]
            let path = device["devicePath"]
            needs(name)
            if names.contains(name.text) { invalid(name, "must be unique") }
            if let volume = context.volumes[name.text] {
                if !volume["persistentVolumeClaim"].exists, !volume["ephemeral"].exists {
                    let why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
                    invalid(name, why)
                }
            } else {
                notFound(name)
            }
            needs(path)
            if paths.contains(path.text) { invalid(path, "must be unique") }
            if path.text.split(separator: "/").contains("..") {
                invalid(path, "can not contain backsteps ('..')")
            } else {
                paths.insert(path.text)
            }
            if mountNames.contains(name.text) { invalid(name, "must not already exist in volumeMounts") }
            if mountPaths.contains(path.text) { invalid(path, "must not already exist as a path in volumeMounts") }
            names.insert(name.text)
        }
    }
}
