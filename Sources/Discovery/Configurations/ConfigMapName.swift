// Names of ConfigMaps for things whose own names DNS cannot carry.

import Objects

package enum ConfigMapName {
    /// What is left of the readable part is cut to this.
    static let longestRest = 180
    static let hashDigits = 12

    /// `<prefix>-<what is left of the rest>-<hash of the whole>`: the same words always give the same name.
    package static func make(prefix: String, rest: String, whole: String) -> String {
        let plain = CarriedName.plain(rest, longest: longestRest)
        return prefix + (plain.isEmpty ? "" : "-" + plain) + "-" + CarriedName.digits(whole, hashDigits)
    }
}
