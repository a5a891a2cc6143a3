// Addresses are handed out once, late and from the right range, and the state survives being written and read.

import Formats
import Testing

@testable import PodNetwork

@Suite struct AddressPoolMachineTests {
    private func range(_ text: String) throws -> AddressRange { try #require(AddressRange(text)) }
    private func address(_ text: String) -> IPv4Address { IPv4Address(text) ?? IPv4Address(0) }

    @Test func readsAddressesStrictly() {
        #expect(IPv4Address("10.88.0.1")?.value == 0x0A58_0001)
        #expect(IPv4Address("255.255.255.255")?.description == "255.255.255.255")
        for wrong in ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.", "a.2.3.4", "1.2.3.4 ", "-1.2.3.4"] {
            #expect(IPv4Address(wrong) == nil, "\(wrong)")
        }
    }

    @Test func readsRangesStrictly() throws {
        let range = try range("10.88.0.0/16")
        #expect(range.last == address("10.88.255.255"))
        #expect(range.contains(address("10.88.3.4")))
        #expect(!range.contains(address("10.89.0.0")))
        for wrong in ["10.88.0.0", "10.88.0.1/16", "10.88.0.0/0", "10.88.0.0/33", "10.88.0.0/x"] {
            #expect(AddressRange(wrong) == nil, "\(wrong)")
        }
    }

    @Test func keepsTheAddressOfAKnownSandbox() throws {
        var pool = AddressPoolMachine(range: try range("10.88.0.0/16"))
        #expect(pool.assign(to: "a") == .fresh(address("10.88.0.2")))
        #expect(pool.assign(to: "b") == .fresh(address("10.88.0.3")))
        #expect(pool.assign(to: "a") == .known(address("10.88.0.2")))
    }

    @Test func givesAReturnedAddressAgainAsLateAsPossible() throws {
        var pool = AddressPoolMachine(range: try range("10.88.0.0/29"))
        #expect(pool.assign(to: "a") == .fresh(address("10.88.0.2")))
        #expect(pool.release("a") == address("10.88.0.2"))
        #expect(pool.release("a") == nil)
        for (sandbox, last) in [("b", 3), ("c", 4), ("d", 5), ("e", 6)] {
            #expect(pool.assign(to: sandbox) == .fresh(address("10.88.0.\(last)")))
        }
        #expect(pool.assign(to: "f") == .fresh(address("10.88.0.2")))
        #expect(pool.assign(to: "g") == .exhausted)
        #expect(pool.release("d") == address("10.88.0.5"))
        #expect(pool.assign(to: "g") == .fresh(address("10.88.0.5")))
    }

    @Test func survivesBeingWrittenAndRead() throws {
        let range = try range("10.88.0.0/24")
        var pool = AddressPoolMachine(range: range)
        _ = pool.assign(to: "a")
        _ = pool.assign(to: "b")
        _ = pool.release("a")
        var read = try #require(AddressPoolMachine(tree: try JSON(parsing: pool.tree.text), range: range))
        #expect(read == pool)
        #expect(read.assign(to: "c") == .fresh(address("10.88.0.4")))
        #expect(AddressPoolMachine(tree: pool.tree, range: try self.range("10.89.0.0/24")) == nil)
    }

    @Test func refusesStateThatGivesOneAddressTwice() throws {
        let tree: JSON = ["podCIDR": "10.88.0.0/24", "addresses": ["a": "10.88.0.2", "b": "10.88.0.2"]]
        #expect(AddressPoolMachine(tree: tree, range: try range("10.88.0.0/24")) == nil)
    }

    @Test func saysEverythingThatIsMissingInOneProblem() throws {
        #expect(NetworkTools.requirement(isRoot: true, programs: [("ip", "iproute2", true)]) == nil)
        let problem = try #require(
            NetworkTools.requirement(isRoot: false, programs: [("ip", "iproute2", true), ("nft", "nftables", false)]))
        #expect(problem.message.contains("root"))
        #expect(problem.message.contains("install the package nftables"))
        #expect(!problem.message.contains("iproute2"))
        #expect(problem.message.contains("hostNetwork: true work all the same"))
    }
}
