"""A Dubbo provider and a consumer that find each other through ZooKeeper: `dubbo_hello.py provider|consumer HOST:PORT`."""

import sys
import time

import dubbo
from dubbo.configs import ReferenceConfig, RegistryConfig, ServiceConfig
from dubbo.proxy.handlers import RpcMethodHandler, RpcServiceHandler

SERVICE, PORT = "com.acme.Hello", 20881


def provide(bootstrap):
    def hello(name: bytes) -> bytes:
        return b"hello " + name
    handler = RpcServiceHandler(
        service_name=SERVICE, method_handlers=[RpcMethodHandler.unary(method=hello, method_name="hello")])
    bootstrap.create_server(ServiceConfig(service_handler=handler, host="127.0.0.1", port=PORT)).start()
    print("provides", flush=True)
    while True:
        time.sleep(60)


def consume(bootstrap):
    client = bootstrap.create_client(ReferenceConfig(protocol="tri", service=SERVICE))
    print(client.unary(method_name="hello")(b"mangrove").decode(), flush=True)


if __name__ == "__main__":
    bootstrap = dubbo.Dubbo(registry_config=RegistryConfig.from_url(f"zookeeper://{sys.argv[2]}"))
    {"provider": provide, "consumer": consume}[sys.argv[1]](bootstrap)
