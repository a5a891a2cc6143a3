#!/usr/bin/env python3
"""Compares the columns in Sources/Cluster/APIServer/Tables with those of Kubernetes.

Usage: Tools/check-table-columns.py table-columns.json

table-columns.json holds the columns that Kubernetes' printers declare in one literal each:
{"kinds": {kind: [{"name": …, "type": …, "priority": …}…]}}; what a printer adds after its literal is not in it, so a
table of ours may go on after them. Prints every difference; fails when there is one.
"""
import json
import pathlib
import re
import sys

# Kinds whose printers have another name than the plural of the kind, and kinds that this server does not serve.
NAMES = {"endpoint": "endpoints", "serviceAccount": "plain", "clusterRoleBindings": "roleBindings",
         "ingress": "ingresses", "ingressClass": "ingressClasses", "serviceCIDR": "serviceCIDRs",
         "ipAddress": "ipAddresses", "csiStorageCapacity": "csiStorageCapacities",
         "componentStatus": "componentStatuses"}
UNSERVED = {"clusterTrustBundle", "podCertificateRequest", "leaseCandidate", "status", "mutatingWebhook",
            "validatingWebhook", "flowSchema", "priorityLevel", "storageVersion", "scale", "deviceClass",
            "resourceClaim", "resourceClaimTemplate", "nodeResourceSlice", "resourcePoolStatusRequest", "deviceTaint",
            "storageVersionMigration", "workload", "podGroup"}
MARKS = {"integer": "#", "boolean": "?", "string": ""}


def plural(kind):
    if kind in NAMES:
        return NAMES[kind]
    return kind + ("" if kind.endswith("s") and kind != "storageClass" else "s") \
        if not kind.endswith("Class") else kind + "es"


def spelled(column):
    return column["name"] + MARKS[column["type"]] + ("+" if column.get("priority") else "")


def main():
    wanted = json.load(open(sys.argv[1]))["kinds"]
    tables = pathlib.Path(__file__).parent.parent / "Sources/Cluster/APIServer/Tables"
    source = "\n".join(path.read_text() for path in sorted(tables.glob("*.swift")))
    ours = {name: re.findall(r'"([^"]*)"', columns) for name, columns in
            re.findall(r"static let (\w+) = TablePrinter\(([^{]*?)\)\s*\{", source)}
    faults = 0
    for kind, columns in wanted.items():
        if kind in UNSERVED:
            continue
        name, expected = plural(kind), [spelled(each) for each in columns]
        if ours.get(name, [])[:len(expected)] != expected:
            faults += 1
            print(f"{kind}: expected {expected}, found {ours.get(name)}")
    print(f"{len(wanted) - len(UNSERVED & set(wanted))} kinds compared, {faults} differ")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
