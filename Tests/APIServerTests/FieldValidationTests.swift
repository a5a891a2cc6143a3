// fieldValidation, wrong kinds of values and bodies that are none, in upstream's words
// (kubernetes/test/integration/apiserver/field_validation_test.go).

import Formats
import HTTPTypes
import Objects
import Testing

@testable import APIServer

@Suite struct FieldValidationTests {
    static let deployments = "/apis/apps/v1/namespaces/default/deployments"

    static let json = """
        {"apiVersion": "apps/v1", "kind": "Deployment",
         "metadata": {"name": "web", "name": "web", "unknownMeta": "a", "labels": {"app": "nginx"}},
         "spec": {"unknown1": "val1", "unknownDupe": "valDupe", "unknownDupe": "valDupe2",
          "paused": true, "paused": false, "selector": {"matchLabels": {"app": "nginx"}},
          "template": {"metadata": {"labels": {"app": "nginx"}}, "spec": {"containers": [
            {"name": "nginx", "image": "nginx:latest", "unknownNested": "val1",
             "imagePullPolicy": "Always", "imagePullPolicy": "Never"}]}}}}
        """
    static let jsonFaults = [
        "duplicate field \"metadata.name\"", "unknown field \"metadata.unknownMeta\"",
        "unknown field \"spec.unknown1\"", "unknown field \"spec.unknownDupe\"", "duplicate field \"spec.paused\"",
        "unknown field \"spec.template.spec.containers[0].unknownNested\"",
        "duplicate field \"spec.template.spec.containers[0].imagePullPolicy\"",
    ]
    static let yaml = """
        apiVersion: apps/v1
        kind: Deployment
        metadata:
          name: web
          name: web
          unknownMeta: a
        spec:
          unknown1: val1
          unknownDupe: valDupe
          unknownDupe: valDupe2
          paused: true
          paused: false
          selector: {matchLabels: {app: nginx}}
          template:
            metadata: {labels: {app: nginx}}
            spec:
              containers:
              - name: nginx
                image: nginx:latest
                unknownNested: val1
                imagePullPolicy: Always
                imagePullPolicy: Never
        """
    static let yamlLines = [
        "line 5: key \"name\" already set in map", "line 10: key \"unknownDupe\" already set in map",
        "line 12: key \"paused\" already set in map", "line 22: key \"imagePullPolicy\" already set in map",
    ]
    static let sortedUnknown = [
        "unknown field \"metadata.unknownMeta\"", "unknown field \"spec.template.spec.containers[0].unknownNested\"",
        "unknown field \"spec.unknown1\"", "unknown field \"spec.unknownDupe\"",
    ]

    private func send(
        _ server: Server, _ method: HTTPRequest.Method, _ path: String, _ body: String,
        type: String = "application/json"
    ) async throws -> (code: Int, message: String, warnings: [String], tree: JSON) {
        let answer = await server.raw(method, path, Array(body.utf8), type: type)
        guard case .bytes(let bytes) = answer.body else { throw Problem.badRequest("a stream") }
        let tree = try JSON(parsing: bytes)
        let warnings = answer.response.headerFields[values: try #require(HTTPField.Name("Warning"))].map { field in
            field.dropFirst("299 - \"".count).dropLast().split(separator: "\\\"", omittingEmptySubsequences: false)
                .joined(separator: "\"")
        }
        return (answer.response.status.code, tree["message"]?.string ?? "", warnings, tree)
    }

    @Test func bodiesOfJSON() async throws {
        let server = try await Server()
        let strict = try await send(server, .post, Self.deployments + "?fieldValidation=Strict", Self.json)
        #expect(strict.code == 400)
        #expect(
            strict.message == "Deployment in version \"v1\" cannot be handled as a Deployment: "
                + "strict decoding error: " + Self.jsonFaults.joined(separator: ", "))
        #expect(try await server.get(Self.deployments + "/web").code == 404)
        let warned = try await send(server, .post, Self.deployments, Self.json)
        #expect(warned.code == 201)
        #expect(warned.warnings == Self.jsonFaults)
        #expect(warned.tree["spec", "paused"] != true)
        let ignored = try await send(server, .put, Self.deployments + "/web?fieldValidation=Ignore", Self.json)
        #expect(ignored.code == 200)
        #expect(ignored.warnings.isEmpty)
        let odd = try await send(server, .post, Self.deployments + "?fieldValidation=Maybe", Self.json)
        #expect(odd.code == 422)
        #expect(
            odd.message == "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Maybe\": "
                + "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"")
    }

    @Test func bodiesOfYAML() async throws {
        let server = try await Server()
        let type = "application/yaml"
        let strict = try await send(server, .post, Self.deployments + "?fieldValidation=Strict", Self.yaml, type: type)
        #expect(strict.code == 400)
        #expect(
            strict.message.hasSuffix(
                "strict decoding error: yaml: unmarshal errors:\n  " + Self.yamlLines.joined(separator: "\n  ") + ", "
                    + Self.sortedUnknown.joined(separator: ", ")), "\(strict.message)")
        let warned = try await send(server, .post, Self.deployments, Self.yaml, type: type)
        #expect(warned.code == 201)
        #expect(warned.warnings == Self.yamlLines + Self.sortedUnknown)
        let template = warned.tree["spec", "template", "spec"]
        #expect(template?["containers"]?.array?.first?["imagePullPolicy"] == "Never")
    }

    @Test(arguments: ["merge-patch", "strategic-merge-patch"])
    func patchesOfObjects(_ kind: String) async throws {
        let server = try await Server()
        _ = try await server.post(Self.deployments, Sample.deployment("web"))
        let patch = """
            {"spec": {"unknown1": "val1", "unknownDupe": "valDupe", "unknownDupe": "valDupe2", "paused": true,
             "paused": false}}
            """
        let type = "application/\(kind)+json"
        let faults = [
            "duplicate field \"spec.unknownDupe\"", "duplicate field \"spec.paused\"",
            "unknown field \"spec.unknown1\"", "unknown field \"spec.unknownDupe\"",
        ]
        let path = Self.deployments + "/web"
        let strict = try await send(server, .patch, path + "?fieldValidation=Strict", patch, type: type)
        #expect(strict.code == 422)
        #expect(strict.message.hasPrefix(" \"\" is invalid: patch: Invalid value: "), "\(strict.message)")
        #expect(strict.message.hasSuffix(": strict decoding error: " + faults.joined(separator: ", ")))
        if kind.hasPrefix("strategic") {
            #expect(strict.message.contains("\"map[spec:map[paused:false unknown1:val1 unknownDupe:valDupe2]]\""))
        }
        let warned = try await send(server, .patch, path, patch, type: type)
        #expect(warned.code == 200)
        #expect(warned.warnings == faults)
        #expect(warned.tree["spec", "unknown1"] == nil)
    }

    @Test func patchesOfOperations() async throws {
        let server = try await Server()
        _ = try await server.post(Self.deployments, Sample.deployment("web"))
        let patch = """
            [{"op": "add", "path": "/spec/unknown1", "value": "val1", "foo": "bar"},
             {"op": "add", "path": "/spec/unknown2", "path": "/spec/unknown3", "value": {"path": 1, "path": 2}}]
            """
        let faults = [
            "json patch unknown field \"[0].foo\"", "json patch duplicate field \"[1].path\"",
            "unknown field \"spec.unknown1\"", "unknown field \"spec.unknown3\"",
        ]
        let path = Self.deployments + "/web"
        let type = "application/json-patch+json"
        let strict = try await send(server, .patch, path + "?fieldValidation=Strict", patch, type: type)
        #expect(strict.code == 422)
        #expect(strict.message.hasSuffix(": strict decoding error: " + faults.joined(separator: ", ")))
        #expect(try await send(server, .patch, path, patch, type: type).warnings == faults)
    }

    @Test(
        arguments: [
            (
                "{\"replicas\": \"2\"}",
                "string into Go struct field DeploymentSpec.spec.replicas of type int32"
            ),
            (
                "{\"replicas\": 99999999999}",
                "number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32"
            ),
            (
                "{\"paused\": {}}",
                "object into Go struct field DeploymentSpec.spec.paused of type bool"
            ),
            (
                "{\"template\": []}",
                "array into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec"
            ),
            (
                "{\"template\": {\"spec\": {\"containers\": [{\"env\": [{\"name\": \"a\", \"value\": 1}]}]}}}",
                "number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string"
            ),
            (
                "{\"template\": {\"spec\": {\"containers\": {}}}}",
                "object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"
            ),
            (
                "{\"template\": {\"metadata\": {\"labels\": {\"a\": true}}}}",
                "bool into Go struct field ObjectMeta.spec.template.metadata.labels of type string"
            ),
            (
                "{\"template\": {\"spec\": {\"containers\": [{\"resources\": {\"limits\": {\"cpu\": \"one\"}}}]}}}",
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            ),
            (
                "{\"strategy\": {\"rollingUpdate\": {\"maxSurge\": true}}}",
                "bool into Go value of type int32"
            ),
        ])
    func wrongKindsOfValues(_ spec: String, _ message: String) async throws {
        let server = try await Server()
        let body = "{\"kind\": \"Deployment\", \"metadata\": {\"name\": \"web\"}, \"spec\": \(spec)}"
        let answer = try await send(server, .post, Self.deployments, body)
        #expect(answer.code == 400)
        let prefix = "Deployment in version \"v1\" cannot be handled as a Deployment: "
        #expect(answer.message.hasPrefix(prefix) && answer.message.hasSuffix(message), "\(answer.message)")
        #expect(message.hasPrefix("quantities") || answer.message.contains("json: cannot unmarshal " + message))
    }

    @Test(
        arguments: [
            ("", "application/json", 400), ("[]", "application/json", 400), ("{\"a\":", "application/json", 400),
            ("null", "application/json", 400), ("\u{0}", "application/json", 400), ("a: [", "application/yaml", 400),
            ("a: 1\n---\nb: 1", "application/yaml", 400), ("{}", "text/plain", 415),
            (String(repeating: "[", count: 100_000), "application/json", 400),
            (String(repeating: "[", count: 100_000), "application/yaml", 400),
            (String(repeating: "{\"a\":", count: 100_000), "application/json", 400),
            ("{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}", "application/json", 400),
            ("{\"kind\": \"Deployment\", \"apiVersion\": \"apps/v1beta1\"}", "application/json", 400),
            ("{\"metadata\": {\"name\": \"web\", \"generation\": 1e999}}", "application/json", 400),
            ("{\"metadata\": {\"name\": \"web\", \"creationTimestamp\": \"yesterday\"}}", "application/json", 400),
        ])
    func bodiesThatAreNone(_ body: String, _ type: String, _ code: Int) async throws {
        let server = try await Server()
        let answer = try await send(server, .post, Self.deployments, body, type: type)
        #expect(answer.code == code, "\(answer.message)")
        #expect(answer.tree["kind"] == "Status")
        #expect(try await server.get(Self.deployments)["items"]?.array?.isEmpty == true)
    }

    @Test func dryRunTakesOneValue() async throws {
        let server = try await Server()
        let answer = try await send(server, .post, Self.deployments + "?dryRun=Some", Self.json)
        #expect(answer.code == 422)
        #expect(answer.message.contains("dryRun: Unsupported value: "))
        #expect(answer.message.hasSuffix("supported values: \"All\""))
    }
}
