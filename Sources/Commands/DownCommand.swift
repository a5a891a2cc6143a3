// `mangrove down`: stops the platform that runs on a state directory, its pods gracefully first.

import ArgumentParser
import Glibc
import Objects
import Platform

struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down", abstract: "Stop the platform and its pods gracefully; what is stored stays.")

    @OptionGroup var state: StateOptions

    @Option(help: "Seconds to wait for the end.")
    var timeout = 90

    func run() async throws {
        try await reportingProblems {
            guard let holder = StateLock.holder(of: state.directory) else {
                Terminal.note("mangrove: nothing runs on \(state.directory)")
                throw ExitCode(ExitCodes.notRunning)
            }
            guard kill(holder.pid, SIGTERM) == 0 else {
                throw Problem(.forbidden, "cannot signal process \(holder.pid): \(String(cString: strerror(errno)))")
            }
            Terminal.note("stopping the platform with process id \(holder.pid) and its pods")
            let clock = ContinuousClock()
            let deadline = clock.now + .seconds(timeout)
            while StateLock.holder(of: state.directory) != nil {
                guard clock.now < deadline else {
                    throw Problem(
                        .timeout, "process \(holder.pid) still runs after \(timeout) s; see `mangrove status`")
                }
                try await clock.sleep(for: .milliseconds(50))
            }
            Terminal.note("stopped")
        }
    }
}
