"""One program of one world, as provider and consumer, driven by lines of JSON: it uses that world's real client.

A provider is `register`, `change`, `health`, `deregister`; a consumer `look` (begin) and `see` (what it sees now). A crash is
SIGKILL. Runs in the environment of its client, so it imports nothing of the tests.
"""

import asyncio
import json
import os
import sys
import tempfile
import threading
import time
import traceback
import uuid
from urllib.parse import parse_qsl, quote, unquote, urlsplit


class Beating:
    """Calls `beat` every third of a second while it is on."""

    def __init__(self, beat):
        self.on = True
        self.ended = False
        self.beat = beat
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while not self.ended:
            if self.on:
                try:
                    self.beat()
                except Exception:
                    traceback.print_exc()
            time.sleep(0.3)


class NacosHTTP:
    """nacos-sdk-python 1.0: open API version 1, beats and polls."""

    def __init__(self, servers, namespace):
        import nacos
        self.client = nacos.NacosClient(servers["nacos"], namespace=namespace)

    def _parts(self):
        offer = self.offer
        return dict(service_name=offer["service"], ip=offer["ip"], port=offer["port"], weight=offer["weight"],
                    metadata=offer["metadata"] | {"preserved.heart.beat.timeout": "1000", "preserved.ip.delete.timeout": "3000"})

    def register(self, offer):
        self.offer = offer
        self.client.add_naming_instance(**self._parts())
        self.beating = Beating(self._beat)

    def _beat(self):
        parts = self._parts()
        self.client.send_heartbeat(
            parts["service_name"], parts["ip"], parts["port"], weight=parts["weight"], metadata=parts["metadata"])

    def change(self, offer):
        self.offer = offer
        self.client.modify_naming_instance(**self._parts())

    def health(self, good):
        self.beating.on = good

    def deregister(self):
        self.beating.on = False
        time.sleep(0.4)
        self.client.remove_naming_instance(self.offer["service"], self.offer["ip"], self.offer["port"])

    def look(self, service):
        pass

    def see(self, service):
        return [dict(ip=host["ip"], port=host["port"], weight=host["weight"], metadata=host["metadata"],
                     callable=host["healthy"] and host["enabled"] and host["weight"] > 0)
                for host in self.client.list_naming_instance(service)["hosts"]]


class NacosGRPC:
    """nacos-sdk-python 3: gRPC, pushes."""

    def __init__(self, servers, namespace):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.pushed = {}
        self._do(self._begin(servers["nacos"], namespace))

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    async def _begin(self, server, namespace):
        from v2.nacos import ClientConfigBuilder, GRPCConfig, NacosNamingService
        directory = tempfile.mkdtemp(prefix="nacos-")
        config = (ClientConfigBuilder().server_address(server).namespace_id(namespace).log_level("ERROR")
                  .cache_dir(directory).log_dir(directory).grpc_config(GRPCConfig(grpc_timeout=5000)).build())
        config.set_update_cache_when_empty(True)
        self.naming = await NacosNamingService.create_naming_service(config)

    def register(self, offer, healthy=True):
        from v2.nacos import RegisterInstanceParam
        self.offer = offer
        self._do(self.naming.register_instance(RegisterInstanceParam(
            service_name=offer["service"], ip=offer["ip"], port=offer["port"], weight=offer["weight"], healthy=healthy,
            metadata=offer["metadata"])))

    change = register

    def health(self, good):
        self.register(self.offer, healthy=good)

    def deregister(self):
        from v2.nacos import DeregisterInstanceParam
        self._do(self.naming.deregister_instance(DeregisterInstanceParam(
            service_name=self.offer["service"], ip=self.offer["ip"], port=self.offer["port"])))

    def look(self, service):
        from v2.nacos import SubscribeServiceParam

        async def pushed(hosts):
            self.pushed[service] = hosts
        self._do(self.naming.subscribe(SubscribeServiceParam(service_name=service, subscribe_callback=pushed)))

    def see(self, service):
        return [dict(ip=host.ip, port=host.port, weight=host.weight, metadata=host.metadata,
                     callable=host.healthy and host.enabled and host.weight > 0) for host in self.pushed.get(service, [])]


class Eureka:
    """py-eureka-client: leases, full fetches and deltas. Weight is metadata, as Spring's load balancer reads it."""

    def __init__(self, servers, namespace):
        prefix = "" if namespace == "public" else f"namespaces/{namespace}/"
        self.server = f"http://{servers['eureka']}/eureka/{prefix}"
        self.consumer = None

    def _do(self, coroutine):
        return asyncio.run(coroutine)

    def _instance(self, status):
        from py_eureka_client import eureka_basic as basic
        offer, now = self.offer, int(time.time() * 1000)
        metadata = offer["metadata"] | ({"weight": str(offer["weight"])} if offer["weight"] != 1 else {})
        name = offer["service"]
        return basic.Instance(
            instanceId=f"{offer['ip']}:{name}:{offer['port']}", hostName=offer["ip"], ipAddr=offer["ip"], app=name.upper(),
            port=basic.PortWrapper(offer["port"], True), vipAddress=name, secureVipAddress=name, status=status,
            overriddenstatus="UNKNOWN", leaseInfo=basic.LeaseInfo(renewalIntervalInSecs=1, durationInSecs=3),
            metadata=metadata, lastUpdatedTimestamp=now, lastDirtyTimestamp=now)

    def register(self, offer, status="UP"):
        from py_eureka_client import eureka_basic as basic
        self.offer = offer
        self.instance = self._instance(status)
        self._do(basic.register(self.server, self.instance))
        if not hasattr(self, "beating"):
            self.beating = Beating(self._beat)

    def _beat(self):
        from py_eureka_client import eureka_basic as basic
        mine = self.instance
        self._do(basic.send_heartbeat(self.server, mine.app, mine.instanceId, mine.lastDirtyTimestamp, mine.status))

    change = register

    def health(self, good):
        self.register(self.offer, status="UP" if good else "DOWN")

    def deregister(self):
        from py_eureka_client import eureka_basic as basic
        self.beating.on = False
        time.sleep(0.4)
        self._do(basic.cancel(self.server, self.instance.app, self.instance.instanceId))

    def look(self, service):
        from py_eureka_client.eureka_client import EurekaClient
        if self.consumer is None:
            self.consumer = EurekaClient(eureka_server=self.server, app_name="none", should_register=False,
                                         renewal_interval_in_secs=0.3)
            self._do(self.consumer.start())

    def see(self, service):
        found = []
        for application in self.consumer.applications.applications:
            for each in application.instances:
                # Consumers look for the vip address and dial the host name.
                if service.lower() in (each.vipAddress or "").lower().split(","):
                    found.append(dict(ip=each.hostName, port=each.port.port, metadata=each.metadata,
                                      weight=float((each.metadata or {}).get("weight", 1)), callable=each.status == "UP"))
        return found


class ZooKeeper:
    """kazoo, writing and reading what a framework's own client does."""

    def __init__(self, servers, namespace):
        from kazoo.client import KazooClient
        root = "" if namespace == "public" else f"/namespaces/{namespace}"
        self.client = KazooClient(servers["zookeeper"] + root, timeout=4)
        self.client.start(timeout=20)
        self.path = None
        self.children = {}

    def register(self, offer):
        self.offer, self.good = offer, True
        self._write()

    def change(self, offer):
        self.offer = offer
        self._write()

    def _write(self):
        path, data = self.node(self.offer, self.good)
        if path == self.path:
            self.client.set(path, data)
            return
        self.client.create(path, data, ephemeral=True, makepath=True)
        # The new place is there before the old one goes, as Curator's clients do it.
        if self.path:
            self.client.delete(self.path)
        self.path = path

    def health(self, good):
        self.good = good
        self._write()

    def deregister(self):
        self.client.delete(self.path)
        self.path = None

    def look(self, service):
        self.client.ensure_path(self.directory(service))

        def changed(names):
            self.children[service] = names
        self.client.ChildrenWatch(self.directory(service), changed)

    def see(self, service):
        from kazoo.exceptions import NoNodeError
        found = []
        for name in self.children.get(service, []):
            try:
                data = self.client.get(f"{self.directory(service)}/{name}")[0]
            except NoNodeError:
                continue
            read = self.read(name, data)
            if read:
                found.append(read)
        return found


class SpringZooKeeper(ZooKeeper):
    """Spring Cloud ZooKeeper's discovery, by curator-x-discovery."""

    payload = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance"
    payload_id = "application-1"

    def directory(self, service):
        return f"/services/{service}"

    def name(self, offer):
        if not hasattr(self, "id"):
            self.id = str(uuid.uuid4())
        return self.id

    def metadata(self, offer):
        return offer["metadata"] | ({"weight": str(offer["weight"])} if offer["weight"] != 1 else {})

    def node(self, offer, good):
        name = self.name(offer)
        return f"{self.directory(offer['service'])}/{name}", json.dumps({
            "name": offer["service"], "id": name, "address": offer["ip"], "port": offer["port"], "sslPort": None,
            "payload": {"@class": self.payload, "id": self.payload_id, "name": offer["service"], "metadata": self.metadata(offer)},
            "registrationTimeUTC": int(time.time() * 1000), "serviceType": "DYNAMIC", "uriSpec": None, "enabled": good}).encode()

    def read(self, name, data):
        tree = json.loads(data)
        payload = tree.get("payload") or {}
        # Curator casts the payload to its reader's class, and fails on any other.
        if payload.get("@class") != self.payload:
            return dict(ip=tree["address"], port=tree["port"], callable=False, metadata={}, weight=0, foreign=payload.get("@class"))
        metadata = payload["metadata"]
        return dict(ip=tree["address"], port=tree["port"], metadata=metadata, weight=float(metadata.get("weight", 1)),
                    callable=tree.get("enabled", True))


class DubboApplication(SpringZooKeeper):
    """Dubbo 3's application level, by curator-x-discovery, with its table of interfaces and metadata."""

    payload = "org.apache.dubbo.registry.zookeeper.ZookeeperInstance"

    def name(self, offer):
        return f"{offer['ip']}:{offer['port']}"

    @property
    def payload_id(self):
        return self.name(self.offer)

    def metadata(self, offer):
        return offer["metadata"] | dubbo_metadata(offer)

    def register(self, offer):
        interface, revision = offer["interface"], offer["revision"]
        self._publish(f"/dubbo/mapping/{interface}", offer["service"])
        self._publish(f"/dubbo/metadata/{offer['service']}/{revision}", json.dumps({
            "app": offer["service"], "revision": revision, "services": {f"{interface}:dubbo": {
                "name": interface, "protocol": "dubbo", "path": interface, "port": offer["port"], "params": {}}}}))
        super().register(offer)

    def _publish(self, path, text):
        self.client.ensure_path(path)
        self.client.set(path, text.encode())


def dubbo_metadata(offer):
    return {"dubbo.metadata.revision": offer["revision"], "dubbo.metadata.storage-type": "remote",
            "dubbo.endpoints": json.dumps([{"port": offer["port"], "protocol": "dubbo"}], separators=(",", ":"))}


class DubboInterface(ZooKeeper):
    """Dubbo's interface level: the whole URL is a znode's name."""

    scheme = "dubbo"

    def directory(self, interface):
        return f"/dubbo/{interface}/providers"

    def parameters(self, offer):
        return {"anyhost": "true", "application": offer["service"], "dubbo": "2.0.2", "interface": offer["interface"],
                "methods": "find", "side": "provider", "weight": str(int(offer["weight"] * 100))} | offer["metadata"]

    def data(self, offer, good):
        return offer["ip"].encode()

    def node(self, offer, good):
        query = "&".join(f"{key}={value}" for key, value in sorted(self.parameters(offer).items()))
        path = "" if self.scheme == "bolt" else "/" + offer["interface"]
        url = f"{self.scheme}://{offer['ip']}:{offer['port']}{path}?{query}"
        return f"{self.directory(offer['interface'])}/{quote(url, safe='')}", self.data(offer, good)

    def read(self, name, data):
        url = urlsplit(unquote(name))
        if url.scheme != self.scheme:
            return None
        parameters = dict(parse_qsl(url.query))
        return dict(ip=url.hostname, port=url.port, metadata=parameters, weight=int(parameters.get("weight", 100)) / 100,
                    callable=self.takes_calls(data))

    def takes_calls(self, data):
        return True


class SOFA(DubboInterface):
    """SOFARPC: the URL is a znode's name, its data says whether it is on line."""

    scheme = "bolt"

    def directory(self, interface):
        return f"/sofa-rpc/{interface}/providers"

    def parameters(self, offer):
        return {"appName": offer["service"], "interface": offer["interface"], "uniqueId": "", "version": "1.0",
                "serialization": "hessian2", "weight": str(int(offer["weight"] * 100))} | offer["metadata"]

    def data(self, offer, good):
        return b"\x01" if good else b"\x00"

    def takes_calls(self, data):
        return data != b"\x00"


WORLDS = {"nacos-http": NacosHTTP, "nacos-grpc": NacosGRPC, "eureka": Eureka, "spring-zookeeper": SpringZooKeeper,
          "dubbo-interface": DubboInterface, "dubbo-application": DubboApplication, "sofa": SOFA}


def main():
    world = WORLDS[sys.argv[1]](json.loads(sys.argv[2]), sys.argv[3])
    # What clients print of themselves goes elsewhere.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        words = json.loads(line)
        try:
            answer = {"result": getattr(world, words[0])(*words[1:])}
        except Exception as problem:
            traceback.print_exc()
            answer = {"error": f"{type(problem).__name__}: {problem}"}
        print(json.dumps(answer), file=answers)
    os._exit(0)


main()
