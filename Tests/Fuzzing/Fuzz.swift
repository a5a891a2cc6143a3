// Mutated samples for every decoder that reads from the network. `make fuzz` runs many rounds, the tests a few.

import Glibc

/// Mutates good samples. Each round has a seed of its own, and the same seed makes the same input again.
///
/// `MANGROVE_FUZZ_ROUNDS` and `MANGROVE_FUZZ_SEED` say how many rounds and which.
package struct Fuzz: Sendable {
    package let rounds: Int
    package let seed: UInt64
    /// What is put into samples: words and bytes that mean something to the decoder.
    private let fragments: [[UInt8]]

    package init(_ words: [String] = [], bytes: [[UInt8]] = [], rounds: Int = 400) {
        fragments = words.map { Array($0.utf8) } + bytes
        self.rounds = Self.number("MANGROVE_FUZZ_ROUNDS") ?? rounds
        seed = UInt64(Self.number("MANGROVE_FUZZ_SEED") ?? 20_261_126)
    }

    private static func number(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

    /// One mutation of the samples for each round.
    package func inputs(of samples: [[UInt8]]) -> [[UInt8]] {
        (0..<rounds).map { round in
            var generator = SeededGenerator(seed: seed &+ UInt64(round))
            return mutated(samples, using: &generator)
        }
    }

    /// Calls `body` with every input, and a generator for whatever else it decides by chance.
    ///
    /// - Returns: What the first round that failed says, with the seed that shows it again; nil when none did.
    package func failure(
        of samples: [[UInt8]], _ body: (_ input: [UInt8], _ generator: inout SeededGenerator) throws -> Void
    ) -> String? {
        for round in 0..<rounds {
            let seed = seed &+ UInt64(round)
            var generator = SeededGenerator(seed: seed)
            let input = mutated(samples, using: &generator)
            do {
                try body(input, &generator)
            } catch {
                return "MANGROVE_FUZZ_SEED=\(seed) MANGROVE_FUZZ_ROUNDS=1: \(error) for \(input)"
            }
        }
        return nil
    }

    private func mutated(_ samples: [[UInt8]], using generator: inout SeededGenerator) -> [UInt8] {
        var bytes = samples.randomElement(using: &generator) ?? []
        for _ in 0..<Int.random(in: 0...6, using: &generator) {
            let position = Int.random(in: 0...bytes.count, using: &generator)
            let end = min(bytes.count, position + Int.random(in: 0...12, using: &generator))
            switch Int.random(in: 0..<9, using: &generator) {
            case 0 where position < bytes.count: bytes[position] = UInt8.random(in: .min ... .max, using: &generator)
            case 1 where position < bytes.count: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 2: bytes.removeSubrange(position..<end)
            case 3: bytes.insert(contentsOf: bytes[position..<end], at: position)
            case 4 where Int.random(in: 0..<4, using: &generator) == 0: bytes.removeSubrange(position...)
            case 5:
                let other = samples.randomElement(using: &generator) ?? []
                bytes.replaceSubrange(position..., with: other.suffix(Int.random(in: 0...40, using: &generator)))
            default: bytes.insert(contentsOf: fragments.randomElement(using: &generator) ?? [], at: position)
            }
        }
        return bytes
    }
}

/// What a fuzz test throws when a decoder did not keep its word.
package struct Broken: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
