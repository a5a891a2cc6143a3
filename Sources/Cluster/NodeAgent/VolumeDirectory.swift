// A volume of files that changes all at once, in the layout that upstream's kubelet uses (atomic_writer.go).

import Glibc
import Objects

/// One file of a volume; its mode unless the volume's default holds.
struct VolumeFile: Sendable, Hashable {
    var path: String
    var content: [UInt8]
    var mode: Int?
}

/// A directory whose visible names are links through `..data` to a directory that is never changed, only replaced: a
/// reader sees either all old files or all new ones.
struct VolumeDirectory: Sendable {
    static let dataName = "..data"

    let path: String
    let defaultMode: Int
    /// The group that may read everything; nil leaves it to the mode.
    let group: Int?

    /// Makes the directory hold exactly these files. Does nothing when it does. `stamp` names the new contents.
    func write(_ files: [VolumeFile], stamp: String) throws(Problem) {
        for file in files
        where file.path.isEmpty || file.path.hasPrefix("/") || file.path.split(separator: "/").contains("..") {
            throw Problem(.invalid, "the path \(file.path) leads out of the volume")
        }
        try Files.makeDirectory(path)
        let old = Files.link(path + "/" + Self.dataName)
        if let old, holds(files, in: path + "/" + old) { return }
        let fresh = "..\(stamp)"
        try fill(path + "/" + fresh, with: files)
        if let group { Files.give(path, to: group) }
        try Files.replaceLink(path + "/" + Self.dataName, to: fresh)
        let names = Set(files.map { String($0.path.prefix { $0 != "/" }) })
        for name in names.sorted() { try Files.replaceLink("\(path)/\(name)", to: "\(Self.dataName)/\(name)") }
        for name in Files.names(in: path) where !name.hasPrefix("..") && !names.contains(name) {
            unlink("\(path)/\(name)")
        }
        if let old, old != fresh { Files.remove(path + "/" + old) }
    }

    private func mode(of file: VolumeFile) -> Int {
        let mode = file.mode ?? defaultMode
        return group == nil ? mode : mode | (mode & 0o600) >> 3
    }

    private func fill(_ directory: String, with files: [VolumeFile]) throws(Problem) {
        Files.remove(directory)
        try Files.makeDirectory(directory)
        for file in files {
            let place = "\(directory)/\(file.path)"
            if let slash = place.lastIndex(of: "/") { try Files.makeDirectory(String(place[..<slash])) }
            try Files.write(file.content, to: place, mode: UInt32(mode(of: file)))
        }
        if let group { Files.giveTree(directory, to: group) }
    }

    private func holds(_ files: [VolumeFile], in directory: String) -> Bool {
        var wanted: [String: VolumeFile] = [:]
        for file in files { wanted[file.path] = file }
        guard Set(Files.filesBelow(directory)) == Set(wanted.keys) else { return false }
        return wanted.allSatisfy { path, file in
            Files.mode("\(directory)/\(path)") == mode(of: file) && Files.read("\(directory)/\(path)") == file.content
        }
    }
}
