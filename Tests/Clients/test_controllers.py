"""Every workload controller driven and read through the real kubectl, on processes of this machine."""

import json
import pathlib

import pytest
from conftest import until


def workload(kind, name, namespace, command=("sleep", "1000"), api="apps/v1", pod=None, labels=None, **spec):
    """A workload of one host process; `pod` adds to its pod spec."""
    labels = labels or {"app": name}
    container = {"name": "main", "image": "host", "command": list(command)}
    template = {"metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **(pod or {})}}
    if api == "apps/v1":
        spec["selector"] = {"matchLabels": labels}
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace},
                       "spec": {**spec, "template": template}})


@pytest.fixture
def kubectl(platform, namespace):
    def run(*words, **options):
        return platform.kubectl("-n", namespace, *words, **options)
    return run


def objects(kubectl, *words):
    return json.loads(kubectl("get", *words, "-o", "json"))


def events(kubectl, name):
    return {event["reason"]: event["message"] for event in objects(kubectl, "events")["items"]
            if event["involvedObject"]["name"] == name}


def test_a_deployment_is_undone_paused_and_told_of(platform, namespace, kubectl):
    platform.apply(workload("Deployment", "web", namespace, replicas=2, progressDeadlineSeconds=600))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("set", "env", "deployment/web", "VERSION=2")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    history = kubectl("rollout", "history", "deployment/web").split()
    assert "1" in history and "2" in history
    # A version that cannot start leaves the old one in place.
    kubectl("patch", "deployment/web", "--type=json", "-p", json.dumps(
        [{"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": ["/no/such/program"]}]))
    failed = kubectl("rollout", "status", "deployment/web", "--timeout=4s", check=False)
    assert failed.returncode != 0
    assert objects(kubectl, "deployment", "web")["status"]["availableReplicas"] >= 2
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    web = objects(kubectl, "deployment", "web")
    assert web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "4"
    assert {c["type"]: c["reason"] for c in web["status"]["conditions"]} == {
        "Available": "MinimumReplicasAvailable", "Progressing": "NewReplicaSetAvailable"}
    kubectl("rollout", "pause", "deployment/web")
    kubectl("set", "env", "deployment/web", "VERSION=3")
    until("the pause", lambda: [c["reason"] for c in objects(kubectl, "deployment", "web")["status"]["conditions"]
                                if c["type"] == "Progressing"] == ["DeploymentPaused"])
    before = len(objects(kubectl, "replicasets")["items"])
    kubectl("rollout", "resume", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert len(objects(kubectl, "replicasets")["items"]) == before + 1
    # After ten of a kind the rest is one Event, as elsewhere.
    scaling = events(kubectl, "web")["ScalingReplicaSet"].removeprefix("(combined from similar events): ")
    assert scaling.startswith("Scaled ")


def test_a_statefulset_keeps_names_and_order(platform, namespace, kubectl):
    platform.apply(workload("StatefulSet", "db", namespace, replicas=2, serviceName="db", updateStrategy={
        "type": "RollingUpdate", "rollingUpdate": {"partition": 0}}))
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    pods = objects(kubectl, "pods")["items"]
    assert [pod["metadata"]["name"] for pod in pods] == ["db-0", "db-1"]
    assert [pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] for pod in pods] == ["0", "1"]
    assert pods[0]["metadata"]["creationTimestamp"] <= pods[1]["metadata"]["creationTimestamp"]
    kubectl("set", "env", "statefulset/db", "VERSION=2")
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    kubectl("rollout", "undo", "statefulset/db")
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    status = objects(kubectl, "statefulset", "db")["status"]
    assert status["currentRevision"] == status["updateRevision"]
    assert status["updatedReplicas"] == 2
    assert not any("env" in pod["spec"]["containers"][0] for pod in objects(kubectl, "pods")["items"])
    kubectl("scale", "statefulset/db", "--replicas=0")
    until("the end of the pods", lambda: not objects(kubectl, "pods")["items"])
    assert events(kubectl, "db")["SuccessfulDelete"].endswith("in StatefulSet db successful")


def test_a_daemonset_rolls(platform, namespace, kubectl):
    platform.apply(workload("DaemonSet", "agent", namespace, updateStrategy={
        "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}))
    kubectl("rollout", "status", "daemonset/agent", "--timeout=60s")
    kubectl("rollout", "restart", "daemonset/agent")
    kubectl("rollout", "status", "daemonset/agent", "--timeout=60s")
    status = objects(kubectl, "daemonset", "agent")["status"]
    assert status["desiredNumberScheduled"] == status["numberAvailable"] == status["updatedNumberScheduled"] == 1


def test_jobs_succeed_fail_and_go(platform, namespace, kubectl):
    script = "echo index $JOB_COMPLETION_INDEX"
    platform.apply(workload("Job", "good", namespace, ("sh", "-c", script), api="batch/v1", pod={"restartPolicy": "Never"},
                            completions=3, parallelism=2, completionMode="Indexed"))
    kubectl("wait", "--for=condition=complete", "job/good", "--timeout=60s")
    status = objects(kubectl, "job", "good")["status"]
    assert status["succeeded"] == 3 and status["completedIndexes"] == "0-2" and status["uncountedTerminatedPods"] == {}
    assert kubectl("logs", "-l", "batch.kubernetes.io/job-completion-index=1").strip() == "index 1"
    platform.apply(workload("Job", "bad", namespace, ("sh", "-c", "exit 3"), api="batch/v1", pod={"restartPolicy": "Never"},
                            backoffLimit=0, ttlSecondsAfterFinished=1))
    kubectl("wait", "--for=condition=failed", "job/bad", "--timeout=60s")
    until("the end of the Job", lambda: "NotFound" in kubectl("get", "job/bad", check=False).stderr)
    until("the end of its pods", lambda: not objects(kubectl, "pods", "-l", "job-name=bad")["items"])
    kubectl("delete", "job", "good", "--cascade=foreground", "--timeout=60s")
    assert not objects(kubectl, "pods")["items"]


def test_a_cronjob_runs_by_the_clock(platform, namespace, kubectl):
    job = json.loads(workload("Job", "tick", namespace, ("true",), api="batch/v1", pod={"restartPolicy": "OnFailure"}))
    platform.apply(json.dumps({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick", "namespace": namespace},
        "spec": {"schedule": "* * * * *", "timeZone": "Europe/Berlin", "jobTemplate": {"spec": job["spec"]}}}))
    ran = until("a Job", lambda: [job for job in objects(kubectl, "jobs")["items"]
                                  if job["status"].get("succeeded")], seconds=90, pause=1)[0]
    assert ran["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert ran["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"][-6:] in ("+01:00", "+02:00")
    until("the last success", lambda: objects(kubectl, "cronjob", "tick")["status"].get("lastSuccessfulTime"))


def test_usage_is_shown_and_scaled_by(platform, namespace, kubectl):
    busy = "while :; do :; done"
    platform.apply(workload("Deployment", "busy", namespace, ("sh", "-c", busy), replicas=1, pod={"containers": [
        {"name": "main", "image": "host", "command": ["nice", "sh", "-c", busy],
         "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}}}]}))
    kubectl("rollout", "status", "deployment/busy", "--timeout=60s")
    platform.apply(json.dumps({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "busy", "namespace": namespace},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"}, "maxReplicas": 2,
                 "metrics": [{"type": "Resource", "resource": {
                     "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}}))
    until("the usage", lambda: "busy-" in kubectl("top", "pods", check=False).stdout, seconds=60, pause=1)
    assert platform.kubectl("top", "nodes").count("\n") == 2
    until("the second pod", lambda: objects(kubectl, "deployment", "busy")["spec"]["replicas"] == 2, seconds=90, pause=1)
    status = objects(kubectl, "hpa.v2.autoscaling", "busy")["status"]
    assert {c["type"]: c["status"] for c in status["conditions"]}["ScalingActive"] == "True"
    kubectl("delete", "deployment", "busy", "--timeout=60s")


def test_a_pod_that_fits_nowhere_says_why(platform, namespace, kubectl):
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "big", "namespace": namespace},
        "spec": {"containers": [{"name": "main", "image": "host", "resources": {"requests": {"cpu": "1000"}}}]}}))
    until("the Event", lambda: events(kubectl, "big").get("FailedScheduling")
          == "0/1 nodes are available: 1 Insufficient cpu.")
    kubectl("wait", "--for=jsonpath={.status.conditions[0].reason}=Unschedulable", "pod/big", "--timeout=30s")


def test_a_budget_counts_its_pods(platform, namespace, kubectl):
    platform.apply(workload("Deployment", "web", namespace, replicas=3))
    platform.apply(json.dumps({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"minAvailable": "60%", "selector": {"matchLabels": {"app": "web"}}}}))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    until("the budget", lambda: objects(kubectl, "pdb", "web")["status"].get("disruptionsAllowed") == 1)
    assert objects(kubectl, "pdb", "web")["status"]["desiredHealthy"] == 2


def test_hand_written_endpoints_are_mirrored(platform, namespace, kubectl):
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "outside", "namespace": namespace},
        "spec": {"ports": [{"port": 5432}]}}))
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "outside", "namespace": namespace},
        "subsets": [{"addresses": [{"ip": "192.0.2.9"}], "ports": [{"port": 5432}]}]}))
    slices = until("the slice", lambda: objects(
        kubectl, "endpointslices", "-l", "kubernetes.io/service-name=outside")["items"])
    assert slices[0]["endpoints"][0]["addresses"] == ["192.0.2.9"]


def test_claims_keep_what_pods_wrote(platform, namespace, kubectl):
    templates = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
                                                         "resources": {"requests": {"storage": "1Gi"}}}}]
    container = {"name": "main", "image": "host", "command": ["sh", "-c", "date >> /data/starts; exec sleep 1000"],
                 "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    platform.apply(workload("StatefulSet", "db", namespace, replicas=1, serviceName="db", volumeClaimTemplates=templates,
                            pod={"containers": [container]}, persistentVolumeClaimRetentionPolicy={
                                "whenDeleted": "Retain", "whenScaled": "Retain"}))
    kubectl("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data-db-0", "--timeout=60s")
    volume = objects(kubectl, "pvc", "data-db-0")["spec"]["volumeName"]
    until("the pod", lambda: objects(kubectl, "statefulset", "db")["status"].get("readyReplicas") == 1)
    directory = platform.objects("pv", volume)["spec"]["hostPath"]["path"]
    kubectl("delete", "pod", "db-0", "--timeout=60s")
    starts = pathlib.Path(directory) / "starts"
    until("the second start", lambda: len(starts.read_text().splitlines()) == 2)
    kubectl("delete", "statefulset", "db", "--cascade=foreground", "--timeout=60s")
    assert starts.exists()
    kubectl("delete", "pvc", "data-db-0", "--timeout=60s")
    until("the end of the volume", lambda: not [v for v in platform.objects("pv")["items"] if v["metadata"]["name"] == volume])
    assert not pathlib.Path(directory).exists()
