// Parse and run, nothing else; a pod's shim is this same binary and goes its own way first.

import Commands
import ContainerRuntimes
import Glibc

if ShimProgram.isMeant(by: CommandLine.arguments) {
    exit(ShimProgram.main(arguments: CommandLine.arguments))
}
await MangroveCommand.start()
