// Entry
import ContainerRuntimes
import Glibc

if ShimProgram.isMeant(by: CommandLine.arguments) {
    exit(ShimProgram.main(arguments: CommandLine.arguments))
}
print("mangrove")
