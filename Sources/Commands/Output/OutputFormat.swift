// The forms that commands print their results in.

import ArgumentParser
import Formats

/// `-o`: a table for people, JSON or YAML for programs.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json, yaml

    /// Prints a tree in a machine's form, or calls `table` for the people's form.
    func show(_ tree: JSON, table: () -> String) {
        switch self {
        case .table: Terminal.say(table())
        case .json: Terminal.say(tree.pretty())
        case .yaml: Terminal.show(tree.yaml)
        }
    }
}
