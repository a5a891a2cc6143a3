// Names of XML elements in XStream's spelling, which carries any text.

/// `_` is doubled, `$` is `_-`, and what no name may hold is `_.` and its four hexadecimal digits
/// (`com.thoughtworks.xstream.io.xml.XmlFriendlyNameCoder`). A colon is spelled so too, though XStream leaves it:
/// readers that know namespaces would refuse the whole document.
enum XMLName {
    static func isStart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"),
            UInt8(ascii: ":"), 0x80...0xFF:
            true
        default: false
        }
    }

    static func isPart(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."): true
        default: isStart(byte)
        }
    }

    /// A name that is legal for every reader; an empty one has none and becomes `_`.
    static func encoded(_ text: String) -> String {
        var result = ""
        for unit in text.utf16 {
            let plain = UInt8(exactly: unit).flatMap { $0 < 0x80 ? $0 : nil }
            switch plain {
            case UInt8(ascii: "_"): result += "__"
            case UInt8(ascii: "$"): result += "_-"
            case .some(let byte) where byte != UInt8(ascii: ":") && (result.isEmpty ? isStart(byte) : isPart(byte)):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(unit, radix: 16)
                result += "_." + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return result.isEmpty ? "_" : result
    }

    /// What XStream would read. A mark that stands for nothing stays as it is.
    static func decoded(_ name: String) -> String {
        guard name.utf8.contains(UInt8(ascii: "_")) else { return name }
        var units: [UInt16] = []
        var rest = Array(name.utf16)[...]
        let mark = UInt16(UInt8(ascii: "_"))
        while let unit = rest.popFirst() {
            guard unit == mark, let next = rest.first else {
                units.append(unit)
                continue
            }
            if next == mark {
                units.append(mark)
                rest.removeFirst()
            } else if next == UInt16(UInt8(ascii: "-")) {
                units.append(UInt16(UInt8(ascii: "$")))
                rest.removeFirst()
            } else if next == UInt16(UInt8(ascii: ".")), rest.count >= 5,
                let value = UInt16(String(decoding: rest.dropFirst().prefix(4), as: UTF16.self), radix: 16)
            {
                units.append(value)
                rest = rest.dropFirst(5)
            } else {
                units.append(unit)
            }
        }
        return String(decoding: units, as: UTF16.self)
    }
}
