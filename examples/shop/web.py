"""web: the front. A pod that finds everything by DNS: a Kubernetes Service, a Nacos service, a process outside."""

from server import POD, VERSION, fetch, serve


def answer(path):
    return {
        "service": "web", "version": VERSION, "pod": POD,
        "catalog": fetch("catalog"),
        "orders": fetch("orders.shop.svc.cluster.local:8080"),
    }


serve(8080, answer)
