// The members of a JSON object: an array, because Kubernetes objects are small and order matters to people.

/// An ordered map from strings to JSON values with unique keys.
///
/// Look-up is linear up to `JSONObject.indexThreshold` members and hashed above it.
package struct JSONObject: Sendable {
    package struct Member: Sendable {
        package let key: String
        package var value: JSON

        package init(key: String, value: JSON) {
            self.key = key
            self.value = value
        }
    }

    /// Above this many members a hash index is kept beside the array.
    package static let indexThreshold = 24

    private var members: [Member] = []
    private var index: [String: Int]?

    package init() {}

    /// An object of these pairs; where a key occurs twice, the last one wins.
    package init(_ pairs: [(String, JSON)]) {
        members.reserveCapacity(pairs.count)
        for (key, value) in pairs { self[key] = value }
    }

    /// An object of members that are known to have unique keys.
    package init(unique members: [Member]) {
        self.members = members
        if members.count > Self.indexThreshold { rebuildIndex() }
    }

    package var keys: [String] { members.map(\.key) }

    package func contains(_ key: String) -> Bool { position(of: key) != nil }

    package subscript(_ key: String) -> JSON? {
        get { position(of: key).map { members[$0].value } }
        set {
            switch (position(of: key), newValue) {
            case (let position?, let value?):
                members[position].value = value
            case (let position?, nil):
                members.remove(at: position)
                if index != nil { rebuildIndex() }
            case (nil, let value?):
                members.append(Member(key: key, value: value))
                if index != nil {
                    index?[key] = members.count - 1
                } else if members.count > Self.indexThreshold {
                    rebuildIndex()
                }
            case (nil, nil):
                break
            }
        }
    }

    /// Changes a member in its place; where there is none, it is null before, unless there is only something to remove.
    mutating func change(_ key: String, isRemoval: Bool, _ change: (inout JSON) -> Void) {
        guard let position = position(of: key) else {
            if isRemoval { return }
            var fresh = JSON.null
            change(&fresh)
            self[key] = fresh
            return
        }
        if isRemoval, members[position].value.isNull { return }
        change(&members[position].value)
    }

    private func position(of key: String) -> Int? {
        if let index { return index[key] }
        return members.firstIndex { $0.key == key }
    }

    private mutating func rebuildIndex() {
        guard members.count > Self.indexThreshold else {
            index = nil
            return
        }
        var fresh = [String: Int](minimumCapacity: members.count)
        for (position, member) in members.enumerated() { fresh[member.key] = position }
        index = fresh
    }
}

extension JSONObject: RandomAccessCollection {
    package var startIndex: Int { 0 }
    package var endIndex: Int { members.count }
    package subscript(position: Int) -> Member { members[position] }
}

extension JSONObject: Equatable, Hashable {
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        guard left.count == right.count else { return false }
        for (position, member) in left.members.enumerated() {
            // Most equal objects also agree in order; look up only where they do not.
            let other = right.members[position]
            if other.key == member.key {
                if other.value != member.value { return false }
            } else if right[member.key] != member.value {
                return false
            }
        }
        return true
    }

    package func hash(into hasher: inout Hasher) {
        var sum = 0
        for member in members {
            var each = Hasher()
            each.combine(member.key)
            each.combine(member.value)
            sum &+= each.finalize()
        }
        hasher.combine(sum)
    }
}
