// Unsafe: gRPC lends message bytes only through a raw buffer, which is copied inside the closure and not kept.
// Carries payloads in and out of grpc-swift.

import GRPCCore

struct PayloadSerializer: MessageSerializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: Payload) throws -> Bytes { Bytes(message.encoded) }
}

struct PayloadDeserializer: MessageDeserializer {
    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> Payload {
        let copy = bytes.withUnsafeBytes { Array($0) }
        do throws(PayloadProblem) {
            return try Payload(decoding: copy)
        } catch {
            throw RPCError(code: .invalidArgument, message: "the message is no Nacos payload: \(error.description)")
        }
    }
}
