// Values of a status that are left out rather than written when there is nothing to say.

import Formats

extension JSON {
    /// A count; zero is left out.
    static func count(_ value: Int) -> JSON? {
        if value == 0 { return Optional.none }
        return JSON(value)
    }

    /// A list; an empty one is left out.
    static func list(_ values: [JSON]) -> JSON? {
        if values.isEmpty { return Optional.none }
        return .array(values)
    }

    /// A text; an empty one is left out.
    static func text(_ value: String) -> JSON? {
        if value.isEmpty { return Optional.none }
        return .string(value)
    }
}
