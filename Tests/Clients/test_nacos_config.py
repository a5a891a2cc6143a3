"""Nacos configuration with the real gRPC client (nacos-sdk-python 3.x), and what kubectl sees of it."""

import asyncio
import json
import subprocess

import pytest
from v2.nacos import ConfigParam, NacosConfigService, NacosException

import test_nacos_grpc as shared
from conftest import deployment  # noqa: F401  (the platform fixture comes with it)


def param(data_id, content="", **more):
    return ConfigParam(data_id=data_id, group="DEFAULT_GROUP", content=content, **more)


async def service(**more):
    return await NacosConfigService.create_config_service(shared.config(**more))


def items(platform, data_id, namespace="default"):
    found = platform.objects("configmaps", "-n", namespace)["items"]
    return [each for each in found
            if each["metadata"].get("annotations", {}).get("mangrove.dev/nacos-data-id") == data_id]


def test_publish_read_replace_and_remove(platform):
    async def scenario():
        name = shared.name() + ".yaml"
        client = await service()
        assert await client.get_config(param(name)) == ""
        assert await client.publish_config(param(name, "a: 1", type="yaml", app_name="shop"))
        # Whoever was told that it is published reads it.
        assert await client.get_config(param(name)) == "a: 1"
        assert [each["data"] for each in items(platform, name)] == [{name: "a: 1"}]
        assert await client.publish_config(param(name, "a: ü"))
        assert await client.get_config(param(name)) == "a: ü"
        assert await client.remove_config(param(name))
        assert await client.get_config(param(name)) == ""
        assert items(platform, name) == []
        await client.shutdown()
    shared.run(scenario())


def test_compare_and_set(platform):
    async def scenario():
        name = shared.name()
        client = await service()
        assert await client.publish_config(param(name, "1"))
        with pytest.raises(NacosException, match="md5"):
            await client.publish_config(param(name, "2", cas_md5="0" * 32))
        assert await client.publish_config(param(name, "2", cas_md5="c4ca4238a0b923820dcc509a6f75849b"))
        assert await client.get_config(param(name)) == "2"
        await client.shutdown()
    shared.run(scenario())


def test_a_listener_hears_of_every_writer(platform):
    async def scenario():
        name = shared.name() + ".properties"
        writer, reader = await service(), await service()
        heard = []

        async def listener(tenant, group, data_id, content):
            heard.append(content)
        await reader.add_listener(name, "DEFAULT_GROUP", listener)
        assert await writer.publish_config(param(name, "a=1"))
        await shared.until(lambda: heard[-1:] == ["a=1"], "the first content")
        assert await writer.publish_config(param(name, "a=2"))
        await shared.until(lambda: heard[-1:] == ["a=2"], "the second content")
        found = items(platform, name)[0]
        found["data"][name] = "a=3"
        platform.kubectl("replace", "-f", "-", text=json.dumps(found))
        await shared.until(lambda: heard[-1:] == ["a=3"], "the content that kubectl wrote")
        await writer.shutdown()
        await reader.shutdown()
    shared.run(scenario())


def test_a_configmap_with_the_annotation_is_configuration(platform, namespace):
    async def scenario():
        platform.kubectl("create", "-f", "-", text=json.dumps({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "mine", "namespace": namespace,
                         "annotations": {"mangrove.dev/nacos-data-id": "app.yaml"}},
            "data": {"app.yaml": "a: 1", "other": "kept"}}))
        client = await service(namespace=namespace)

        async def content():
            return await client.get_config(param("app.yaml"))

        async def is_there():
            return await content() == "a: 1"
        await shared.until(is_there, "the ConfigMap's content")
        assert await client.publish_config(param("app.yaml", "a: 2"))
        mine = platform.objects("configmap", "mine", "-n", namespace)
        assert mine["data"] == {"app.yaml": "a: 2", "other": "kept"}
        assert await client.remove_config(param("app.yaml"))
        assert await content() == ""
        mine = platform.objects("configmap", "mine", "-n", namespace)
        assert mine["data"] == {"app.yaml": "a: 2", "other": "kept"}
        assert "mangrove.dev/nacos-data-id" not in mine["metadata"].get("annotations", {})
        await client.shutdown()
    shared.run(scenario())


def test_a_namespace_that_cannot_be_is_named(platform):
    async def scenario():
        client = await service(namespace="No_where")
        with pytest.raises(NacosException, match="No_where"):
            await client.publish_config(param("a", "1"))
        await client.shutdown()
    shared.run(scenario())
