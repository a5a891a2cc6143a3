// Validation of a pod's volumes.

import Formats
import Objects

extension Findings {
    /// Checks the volumes and returns the valid ones by name, which are those that containers may mount.
    mutating func volumes(_ field: Field, podName: String) -> [String: Field] {
        var valid: [String: Field] = [:]
        let created = Set(
            podName.isEmpty
                ? [] : field.elements.filter { $0["ephemeral"].exists }.map { "\(podName)-\($0["name"].text)" })
        for volume in field.elements {
            var found = Findings()
            found.volumeSource(volume, podName: podName)
            found.requiredName(volume["name"], .label)
            if valid[volume["name"].text] != nil { found.duplicate(volume["name"]) }
            if found.faults.isEmpty { valid[volume["name"].text] = volume } else { add(found.faults) }
            let claim = volume["persistentVolumeClaim"]["claimName"]
            if created.contains(claim.text) {
                invalid(claim, "must not reference a PVC that gets created for an ephemeral volume")
            }
        }
        return valid
    }

    /// The sources in the order in which upstream looks at them; all but the first are too many.
    private static let sources = [
        "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
        "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc",
        "flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk",
        "storageos", "projected", "scaleIO", "csi", "ephemeral", "image",
    ]
    /// What sources that no node of ours mounts must carry at least.
    private static let requiredParts: [String: [String]] = [
        "gitRepo": ["repository"], "gcePersistentDisk": ["pdName"], "awsElasticBlockStore": ["volumeID"],
        "nfs": ["server", "path"], "iscsi": ["targetPortal", "iqn"], "glusterfs": ["endpoints", "path"],
        "persistentVolumeClaim": ["claimName"], "rbd": ["monitors", "image"], "cinder": ["volumeID"],
        "cephfs": ["monitors"], "quobyte": ["registry", "volume"], "flexVolume": ["driver"],
        "azureFile": ["secretName", "shareName"], "vsphereVolume": ["volumePath"], "photonPersistentDisk": ["pdID"],
        "portworxVolume": ["volumeID"], "azureDisk": ["diskName", "diskURI"],
        "scaleIO": ["gateway", "system", "volumeName"],
    ]

    private mutating func volumeSource(_ volume: Field, podName: String) {
        let given = Self.sources.filter { volume[$0].exists }
        for (position, kind) in given.enumerated() {
            let source = volume[kind]
            if position > 0 {
                forbidden(source, "may not specify more than 1 volume type")
                continue
            }
            for part in Self.requiredParts[kind] ?? [] { needs(source[part]) }
            special(kind, source)
            if kind == "ephemeral", !podName.isEmpty, !volume["name"].isEmpty {
                let claim = "\(podName)-\(volume["name"].text)"
                for message in NameRules.messages(claim, .subdomain) {
                    invalid(volume["name"], "PVC name \"\(claim)\": \(message)")
                }
            }
        }
        if given.isEmpty { required(volume, "must specify a volume type") }
    }

    private mutating func special(_ kind: String, _ source: Field) {
        switch kind {
        case "emptyDir":
            if let limit = source["sizeLimit"].quantity, limit.nanos < 0 {
                forbidden(source["sizeLimit"], "SizeLimit field must be a valid resource quantity")
            }
        case "hostPath": hostPath(source)
        case "gitRepo": descendingPath(source["directory"])
        case "nfs":
            if !source["path"].text.hasPrefix("/") {
                invalid(source["path"], value: .string(source["path"].text), "must be an absolute path")
            }
        case "secret":
            needs(source["secretName"])
            keyedFiles(source)
        case "configMap":
            needs(source["name"])
            keyedFiles(source)
        case "downwardAPI":
            fileMode(source["defaultMode"])
            for item in source["items"].elements { downwardFile(item, at: source) }
        case "projected": projected(source)
        case "csi":
            csiDriverName(source["driver"])
            if source["nodePublishSecretRef"].exists { needs(source["nodePublishSecretRef"]["name"]) }
        case "ephemeral":
            if needs(source["volumeClaimTemplate"]) { claimSpec(source["volumeClaimTemplate"]["spec"]) }
        case "image":
            needs(source["reference"])
            isOne(of: ["Always", "IfNotPresent", "Never"], source["pullPolicy"])
        default: break
        }
    }

    static let hostPathTypes = [
        "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
    ]

    mutating func hostPath(_ source: Field) {
        guard needs(source["path"]) else { return }
        noBacksteps(source["path"])
        if source["type"].exists, !Self.hostPathTypes.contains(source["type"].text) {
            notSupported(source["type"], Self.hostPathTypes)
        }
    }

    private mutating func keyedFiles(_ source: Field) {
        fileMode(source["defaultMode"])
        for item in source["items"].elements { keyToPath(item) }
    }

    private mutating func keyToPath(_ item: Field) {
        needs(item["key"])
        needs(item["path"])
        unreservedPath(item["path"])
        fileMode(item["mode"])
    }

    /// Upstream reports faults of these files at the source and not at the file.
    private mutating func downwardFile(_ item: Field, at source: Field) {
        let file = Field(path: source.path, item.value)
        needs(file["path"])
        unreservedPath(file["path"])
        if file["fieldRef"].exists {
            fieldReference(file["fieldRef"], Self.volumePaths)
            if file["resourceFieldRef"].exists {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously"
                invalid(file, value: "resource", why)
            }
        } else if file["resourceFieldRef"].exists {
            resourceReference(file["resourceFieldRef"], isVolume: true)
        } else {
            required(file, "one of fieldRef and resourceFieldRef is required")
        }
        fileMode(file["mode"])
    }

    private static let tokenSeconds = 600...(1 << 32)

    private mutating func projected(_ source: Field) {
        fileMode(source["defaultMode"])
        var paths: Set<String> = []
        for part in source["sources"].elements {
            let kinds = ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"]
                .filter { part[$0].exists }
            for kind in kinds {
                let one = part[kind]
                switch kind {
                case "secret", "configMap":
                    needs(one["name"])
                    for item in one["items"].elements {
                        keyToPath(item)
                        notTwice(item["path"].text, &paths, source, value: one["name"].text)
                    }
                case "downwardAPI":
                    for item in one["items"].elements {
                        downwardFile(item, at: one)
                        notTwice(item["path"].text, &paths, source, value: item["path"].text)
                    }
                case "serviceAccountToken": projectedToken(one, source)
                default:
                    needs(one["path"])
                    unreservedPath(one["path"])
                    notTwice(one["path"].text, &paths, source, value: one["path"].text)
                }
            }
            if kinds.count > 1 { forbidden(part, "may not specify more than 1 volume type per source") }
        }
    }

    private mutating func projectedToken(_ token: Field, _ source: Field) {
        let seconds = token["expirationSeconds"]
        if seconds.number < Self.tokenSeconds.lowerBound {
            invalid(seconds, "may not specify a duration less than 10 minutes")
        }
        if seconds.number > Self.tokenSeconds.upperBound {
            invalid(seconds, "may not specify a duration larger than 2^32 seconds")
        }
        let path = Field(path: source["path"].path, token["path"].value)
        if needs(path) { unreservedPath(path) }
    }

    private mutating func notTwice(_ path: String, _ seen: inout Set<String>, _ source: Field, value: String) {
        if !path.isEmpty, !seen.insert(path).inserted {
            invalid(source, value: .string(value), "conflicting duplicate paths")
        }
    }

    static let driverNameLength = 63

    mutating func csiDriverName(_ field: Field) {
        guard needs(field) else { return }
        if field.text.utf8.count > Self.driverNameLength { tooLong(field, bytes: Self.driverNameLength) }
        text(field, NameRules.messages(field.text.lowercased(), .subdomain))
    }
}
