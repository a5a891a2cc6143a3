"""catalog: a container-born service. Knows nothing of registries; a Service and DNS make it known."""

from server import POD, VERSION, serve

serve(8080, lambda path: {"service": "catalog", "version": VERSION, "pod": POD, "items": ["mangrove", "kelp", "reed"]})
