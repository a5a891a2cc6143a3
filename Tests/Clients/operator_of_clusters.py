"""An operator as people write them with kopf: DaskClusters of the real definition, each with a ConfigMap of its own."""

import kopf
import kubernetes

KIND = "daskcluster.kubernetes.dask.org"


def core():
    kubernetes.config.load_kube_config()
    return kubernetes.client.CoreV1Api()


@kopf.on.create(KIND)
def created(name, namespace, spec, patch, **_):
    body = {"metadata": {"name": name}, "data": {"workers": str(spec["worker"]["replicas"])}}
    kopf.adopt(body)
    core().create_namespaced_config_map(namespace, body)
    patch.status["phase"] = "Running"


@kopf.on.field(KIND, field="spec.worker.replicas")
def scaled(name, namespace, old, new, **_):
    if old is not None:
        core().patch_namespaced_config_map(name, namespace, {"data": {"workers": str(new)}})


@kopf.on.delete(KIND)
def deleted(name, namespace, **_):
    core().create_namespaced_config_map(namespace, {"metadata": {"name": f"{name}-was-here"}})
