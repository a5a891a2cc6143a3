"""The real Nacos gRPC client (nacos-sdk-python 3.x) against a running server; MANGROVE_NACOS is its HTTP host:port."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import uuid

import pytest
from v2.nacos import (
    BatchRegisterInstanceParam, ClientConfigBuilder, DeregisterInstanceParam, GRPCConfig,
    ListInstanceParam, ListServiceParam, NacosNamingService,
    RegisterInstanceParam, SubscribeServiceParam)

SERVER = os.environ.get("MANGROVE_NACOS", "127.0.0.1:8848")
PATIENCE = 120.0


def config(namespace="", username=None, password=None):
    directory = tempfile.mkdtemp(prefix="nacos-")
    builder = (ClientConfigBuilder().server_address(SERVER).log_level("WARNING").cache_dir(directory)
               .log_dir(directory).namespace_id(namespace).grpc_config(GRPCConfig(grpc_timeout=5000)))
    if username:
        builder = builder.username(username).password(password)
    built = builder.build()
    # Left alone, this client acknowledges an empty list but keeps what it had.
    built.set_update_cache_when_empty(True)
    return built


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, 60))


async def client(**more):
    return await NacosNamingService.create_naming_service(config(**more))


async def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"not within {PATIENCE} s: {what}")


async def ports(naming, service):
    hosts = await naming.list_instances(ListInstanceParam(service_name=service, subscribe=False, healthy_only=None))
    return sorted(host.port for host in hosts)


def name():
    return "test-" + uuid.uuid4().hex[:8]


class Follower:
    """Remembers every list that was pushed."""

    def __init__(self):
        self.ports = None

    async def __call__(self, hosts):
        self.ports = sorted(host.port for host in hosts)


def test_register_find_and_deregister():
    async def scenario():
        service = name()
        provider, consumer = await client(), await client()
        assert await provider.register_instance(RegisterInstanceParam(
            service_name=service, ip="10.1.0.7", port=8080, weight=2.5, metadata={"zone": "a"}))
        hosts = await consumer.list_instances(
            ListInstanceParam(service_name=service, subscribe=False, healthy_only=True))
        assert [(h.ip, h.port, h.weight, h.metadata, h.clusterName) for h in hosts] == [
            ("10.1.0.7", 8080, 2.5, {"zone": "a"}, "DEFAULT")]
        assert hosts[0].instanceId == f"10.1.0.7#8080#DEFAULT#DEFAULT_GROUP@@{service}"
        listed = await consumer.list_services(ListServiceParam(page_size=500, namespace_id="public"))
        assert service in listed.services
        assert await provider.deregister_instance(
            DeregisterInstanceParam(service_name=service, ip="10.1.0.7", port=8080))

        async def is_gone():
            return await ports(consumer, service) == []
        await until(is_gone, "push of the end of the instance")
        await provider.shutdown()
        await consumer.shutdown()
    run(scenario())


def test_subscriber_is_pushed_every_change():
    async def scenario():
        service = name()
        provider, consumer = await client(), await client()
        follower = Follower()
        await consumer.subscribe(SubscribeServiceParam(service_name=service, subscribe_callback=follower))
        await provider.register_instance(RegisterInstanceParam(service_name=service, ip="10.1.0.7", port=1))
        await until(lambda: follower.ports == [1], "push of the first instance")
        await provider.batch_register_instances(BatchRegisterInstanceParam(service_name=service, instances=[
            RegisterInstanceParam(service_name=service, ip="10.1.0.7", port=port) for port in (2, 3)]))
        await until(lambda: follower.ports == [2, 3], "push of the batch")
        await provider.shutdown()
        await until(lambda: follower.ports == [], "push of the end of the provider's connection")
        await consumer.shutdown()
    run(scenario())


def test_clusters_are_told_apart():
    async def scenario():
        service = name()
        provider, consumer = await client(), await client()
        await provider.batch_register_instances(BatchRegisterInstanceParam(service_name=service, instances=[
            RegisterInstanceParam(service_name=service, ip="10.1.0.7", port=1, cluster_name="east"),
            RegisterInstanceParam(service_name=service, ip="10.1.0.7", port=2, cluster_name="west")]))
        hosts = await consumer.list_instances(ListInstanceParam(
            service_name=service, clusters=["west"], subscribe=False, healthy_only=None))
        assert [(h.port, h.clusterName) for h in hosts] == [(2, "west")]
        await provider.shutdown()
        await consumer.shutdown()
    run(scenario())


def test_persistent_instances_outlive_their_writer():
    async def scenario():
        service = name()
        provider, consumer = await client(), await client()
        instance = dict(service_name=service, ip="10.1.0.7", port=1, ephemeral=False)
        assert await provider.register_instance(RegisterInstanceParam(**instance))
        await provider.shutdown()
        assert await ports(consumer, service) == [1]
        again = await client()
        assert await again.deregister_instance(DeregisterInstanceParam(**instance))

        async def is_gone():
            return await ports(consumer, service) == []
        await until(is_gone, "the end of the instance")
        await again.shutdown()
        await consumer.shutdown()
    run(scenario())


PROVIDER = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import test_nacos_grpc as shared
async def main():
    naming = await shared.client()
    await naming.register_instance(shared.RegisterInstanceParam(service_name=sys.argv[2], ip="10.1.0.7", port=1))
    print("registered", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_killed_provider_is_gone_at_once():
    async def scenario():
        service = name()
        consumer = await client()
        follower = Follower()
        await consumer.subscribe(SubscribeServiceParam(service_name=service, subscribe_callback=follower))
        provider = subprocess.Popen(
            [sys.executable, "-c", PROVIDER, os.path.dirname(os.path.abspath(__file__)), service],
            stdout=subprocess.PIPE)
        try:
            await until(lambda: follower.ports == [1], "push of the provider")
        finally:
            provider.kill()
            provider.wait()
        killed = time.monotonic()
        await until(lambda: follower.ports == [], "push of the provider's end")
        assert time.monotonic() - killed < 2
        await consumer.shutdown()
    run(scenario())
