"""The shop's traditional half: registering and finding services with nacos-sdk-python, as existing services do."""

import asyncio
import itertools
import threading

from v2.nacos import (
    ClientConfigBuilder,
    DeregisterInstanceParam,
    NacosNamingService,
    RegisterInstanceParam,
    SubscribeServiceParam,
)


class Registry:
    """A Nacos client on an event loop of its own; keeps the subscribed services' instances at hand."""

    def __init__(self, server, namespace, state):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        config = (
            ClientConfigBuilder()
            .server_address(server)
            .namespace_id(namespace)
            .log_dir(f"{state}/log")
            .cache_dir(f"{state}/cache")
            .build()
        )
        self.naming = self._wait(NacosNamingService.create_naming_service(config))
        self.instances = {}
        self.turn = itertools.count()

    def register(self, service, ip, port, **metadata):
        self._wait(self.naming.register_instance(
            RegisterInstanceParam(service_name=service, ip=ip, port=port, metadata=metadata)))

    def deregister(self, service, ip, port):
        self._wait(self.naming.deregister_instance(DeregisterInstanceParam(service_name=service, ip=ip, port=port)))

    def subscribe(self, service):
        async def changed(instances):
            self.instances[service] = instances

        self._wait(self.naming.subscribe(SubscribeServiceParam(service_name=service, subscribe_callback=changed)))

    def pick(self, service):
        """`host:port` of one healthy instance, in turn."""
        usable = [each for each in self.instances.get(service, []) if each.healthy and each.enabled]
        if not usable:
            raise LookupError(f"Nacos shows no healthy instance of {service}")
        chosen = usable[next(self.turn) % len(usable)]
        return f"{chosen.ip}:{chosen.port}"

    def close(self):
        self._wait(self.naming.shutdown())

    def _wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=30)
