// A pattern as a program for many threads in lockstep (Thompson's construction), and its run over a text.

/// Instructions; every thread of a run stands at one of them.
struct PatternProgram: Sendable {
    private enum Instruction: Sendable {
        case scalar(ScalarSet)
        case assertion(PatternAssertion)
        case split(Int, Int)
        case jump(Int)
        case match
    }

    private var code: [Instruction] = []

    init(of tree: PatternNode) throws(PatternProblem) {
        try append(tree)
        try append(.match)
    }

    private mutating func append(_ instruction: Instruction) throws(PatternProblem) {
        guard code.count < Pattern.instructionLimit else {
            throw PatternProblem(reason: "expression too large", excerpt: "")
        }
        code.append(instruction)
    }

    private mutating func append(_ node: PatternNode) throws(PatternProblem) {
        switch node {
        case .empty: break
        case .scalar(let set): try append(Instruction.scalar(set))
        case .assertion(let assertion): try append(Instruction.assertion(assertion))
        case .sequence(let nodes): for node in nodes { try append(node) }
        case .choice(let nodes): try append(choice: nodes[...])
        case .repetition(let node, let minimum, let maximum):
            for _ in 0..<minimum { try append(node) }
            guard let maximum else { return try append(loop: node) }
            try append(node, atMost: maximum - minimum)
        }
    }

    private mutating func append(choice nodes: ArraySlice<PatternNode>) throws(PatternProblem) {
        var ends: [Int] = []
        for (position, node) in nodes.enumerated() {
            if position == nodes.count - 1 {
                try append(node)
                break
            }
            let split = code.count
            try append(.split(split + 1, 0))
            try append(node)
            ends.append(code.count)
            try append(.jump(0))
            code[split] = .split(split + 1, code.count)
        }
        for end in ends { code[end] = .jump(code.count) }
    }

    private mutating func append(loop node: PatternNode) throws(PatternProblem) {
        let split = code.count
        try append(.split(split + 1, 0))
        try append(node)
        try append(.jump(split))
        code[split] = .split(split + 1, code.count)
    }

    private mutating func append(_ node: PatternNode, atMost count: Int) throws(PatternProblem) {
        var splits: [Int] = []
        for _ in 0..<max(count, 0) {
            splits.append(code.count)
            try append(.split(code.count + 1, 0))
            try append(node)
        }
        for split in splits { code[split] = .split(split + 1, code.count) }
    }

    /// Whether some thread that starts somewhere in the text reaches the end of the program; nil beyond the step limit.
    func matches(_ subject: String, stepLimit: Int) -> Bool? {
        var threads = Threads(code.count)
        var next = Threads(code.count)
        var before: Unicode.Scalar?
        var scalars = subject.unicodeScalars.makeIterator()
        var after = scalars.next()
        var steps = 0
        while true {
            if follow(0, &threads, before: before, after: after) { return true }
            steps += threads.list.count + 1
            if steps > stepLimit { return nil }
            guard let scalar = after else { return false }
            after = scalars.next()
            next.clear()
            for place in threads.list {
                guard case .scalar(let set) = code[place], set.contains(scalar) else { continue }
                if follow(place + 1, &next, before: scalar, after: after) { return true }
            }
            swap(&threads, &next)
            before = scalar
        }
    }

    /// Adds the places that a thread reaches without reading; true when the end of the program is one of them.
    private func follow(
        _ start: Int, _ threads: inout Threads, before: Unicode.Scalar?, after: Unicode.Scalar?
    ) -> Bool {
        var waiting = [start]
        while let place = waiting.popLast() {
            guard threads.insert(place) else { continue }
            switch code[place] {
            case .scalar: break
            case .match: return true
            case .jump(let target): waiting.append(target)
            case .split(let first, let second):
                waiting.append(second)
                waiting.append(first)
            case .assertion(let assertion):
                if assertion.holds(before: before, after: after) { waiting.append(place + 1) }
            }
        }
        return false
    }

    /// The places where threads stand, each once.
    private struct Threads {
        var list: [Int] = []
        private var isThere: [Bool]

        init(_ count: Int) { isThere = Array(repeating: false, count: count) }

        mutating func insert(_ place: Int) -> Bool {
            if isThere[place] { return false }
            isThere[place] = true
            list.append(place)
            return true
        }

        mutating func clear() {
            for place in list { isThere[place] = false }
            list.removeAll(keepingCapacity: true)
        }
    }
}
