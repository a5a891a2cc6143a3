// Unsafe: libyaml's parser and its input live in memory that one class owns and frees; events are copied out.
// The events of a YAML text, from libyaml.

import CYaml

/// One step through a YAML text.
enum YAMLEvent {
    case documentStart
    case alias(String)
    case scalar(text: String, tag: String, isPlain: Bool, anchor: String?)
    case sequenceStart(anchor: String?)
    case sequenceEnd
    case mappingStart(anchor: String?)
    case mappingEnd
    /// Of a document or the whole stream; nothing to act on.
    case other
    case streamEnd
}

/// Hands out events in order; not for more than one reader at a time.
final class YAMLEvents {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let input: UnsafeMutableBufferPointer<UInt8>
    /// The line of the last event, from 1.
    private(set) var line = 1

    init(_ text: some Collection<UInt8>) throws(FormatProblem) {
        parser = .allocate(capacity: 1)
        input = .allocate(capacity: text.count)
        _ = input.initialize(from: text)
        guard yaml_parser_initialize(parser) == 1 else {
            input.deallocate()
            parser.deallocate()
            throw FormatProblem("the YAML reader has no memory")
        }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, input.baseAddress, input.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        input.deallocate()
    }

    /// The next event; after `streamEnd` there are no more.
    func next() throws(FormatProblem) -> YAMLEvent {
        var event = yaml_event_t()
        guard yaml_parser_parse(parser, &event) == 1 else { throw problem() }
        defer { yaml_event_delete(&event) }
        line = Int(event.start_mark.line) + 1
        switch event.type {
        case YAML_DOCUMENT_START_EVENT: return .documentStart
        case YAML_ALIAS_EVENT: return .alias(string(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let text = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            return .scalar(
                text: String(decoding: text, as: UTF8.self), tag: string(scalar.tag) ?? "",
                isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE, anchor: string(scalar.anchor))
        case YAML_SEQUENCE_START_EVENT: return .sequenceStart(anchor: string(event.data.sequence_start.anchor))
        case YAML_SEQUENCE_END_EVENT: return .sequenceEnd
        case YAML_MAPPING_START_EVENT: return .mappingStart(anchor: string(event.data.mapping_start.anchor))
        case YAML_MAPPING_END_EVENT: return .mappingEnd
        case YAML_STREAM_END_EVENT, YAML_NO_EVENT: return .streamEnd
        default: return .other
        }
    }

    private func string(_ bytes: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        bytes.map { String(cString: $0) }
    }

    private func problem() -> FormatProblem {
        let message = parser.pointee.problem.map { String(cString: $0) } ?? "unreadable"
        // Some problems, such as wrong UTF-8, have no mark.
        let line = parser.pointee.error == YAML_READER_ERROR ? self.line : Int(parser.pointee.problem_mark.line) + 1
        return FormatProblem("yaml: line \(line): \(message)")
    }
}
