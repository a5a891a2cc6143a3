// Reads header fields, which a request asks for a dozen times, at the cost of comparing their names.

import HTTPTypes

extension HTTPFields {
    /// The value of a field; of one that comes several times all values, as one list (RFC 9110, section 5.3).
    func text(_ name: HTTPField.Name) -> String? {
        var text: String?
        for field in self where field.name == name { text = text.map { "\($0), \(field.value)" } ?? field.value }
        return text
    }
}
