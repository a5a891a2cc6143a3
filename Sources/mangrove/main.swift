// Parse and run, nothing else; a pod's shim is this same binary and goes its own way first.

import Commands
import ContainerRuntimes

await MangroveCommand.main()
