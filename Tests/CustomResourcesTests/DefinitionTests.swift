// Which definitions are accepted, with upstream's messages.

import Formats
import Objects
import Testing

@testable import CustomResources

@Suite struct DefinitionTests {
    @Test func acceptsADefinitionWithALittleOfEverything() {
        #expect(Sample.faults(Sample.definition()) == [])
    }

    @Test func fillsInNamesAndConversion() {
        let spec = Sample.definition().spec
        #expect(spec["names"]?["singular"] == "thing")
        #expect(spec["names"]?["listKind"] == "ThingList")
        #expect(spec["conversion"] == ["strategy": "None"])
    }

    static let saysWhatIsWrongWithAFieldCases: [FieldCase] = [
        FieldCase(
            ["metadata", "name"], #""other""#,
            [
                "metadata.name: Invalid value: \"other\": must be spec.names.plural+\".\"+spec.group"
            ]),
        FieldCase(
            ["spec", "scope"], #""World""#,
            [
                "spec.scope: Unsupported value: \"World\": supported values: \"Cluster\", \"Namespaced\""
            ]),
        FieldCase(["spec", "scope"], "\"\"", ["spec.scope: Required value"]),
        FieldCase(
            ["spec", "names", "listKind"], #""Thing""#,
            [
                "spec.names.listKind: Invalid value: \"Thing\": kind and listKind may not be the same"
            ]),
        FieldCase(
            ["spec", "preserveUnknownFields"], #"true"#,
            [
                "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields "
                    + "to true in spec.versions[*].schema instead"
            ]),
        FieldCase(
            ["status", "storedVersions"], #"["v1", "v0"]"#,
            [
                "status.storedVersions[1]: Invalid value: \"v0\": missing from spec.versions; v0 was previously "
                    + "a storage version, and must remain in spec.versions until a storage migration ensures no "
                    + "data remains persisted in v0 and removes v0 from status.storedVersions"
            ]),
        FieldCase(
            ["spec", "conversion", "strategy"], #""Never""#,
            [
                "spec.conversion.strategy: Unsupported value: \"Never\": supported values: \"None\", \"Webhook\""
            ]),
    ]

    @Test(arguments: saysWhatIsWrongWithAFieldCases)
    func saysWhatIsWrongWithAField(_ one: FieldCase) throws {
        var definition = Sample.definition()
        definition.tree.set(try one.value, at: one.path)
        #expect(Sample.faults(definition) == one.expected)
    }

    @Test func refusesConversionWebhooksByName() {
        var definition = Sample.definition()
        definition["spec", "conversion"] = ["strategy": "Webhook", "webhook": ["conversionReviewVersions": ["v1"]]]
        #expect(Sample.faults(definition).count == 1)
        #expect(Sample.faults(definition)[0].contains("this server does not call conversion webhooks"))
    }

    @Test func wantsOneStorageVersionAndUniqueNames() {
        let none = Sample.definition(versions: [Sample.version("v1", isStorage: false)])
        #expect(
            Sample.faults(none).contains { $0.hasSuffix("must have exactly one version marked as storage version") })
        let same = Sample.definition(versions: [Sample.version("v1"), Sample.version("v1", isStorage: false)])
        #expect(Sample.faults(same).contains { $0.hasSuffix("must contain unique version names") })
    }

    @Test func wantsSchemas() {
        var version = Sample.version("v1")
        version["schema"] = nil
        #expect(
            Sample.faults(Sample.definition(versions: [version]))
                == ["spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required"])
    }

    @Test func protectedGroupsNeedAWord() {
        var definition = Sample.definition()
        definition["spec", "group"] = "gateway.networking.k8s.io"
        definition.name = "things.gateway.networking.k8s.io"
        #expect(
            Sample.faults(definition).first?.hasPrefix(
                "metadata.annotations[api-approved.kubernetes.io]: Required value") == true)
        definition.annotations = ["api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/1"]
        #expect(Sample.faults(definition) == [])
    }

    @Test func namesAndScopeOfAnEstablishedDefinitionStay() {
        var old = Sample.definition()
        NamingMachine.set("Established", true, "InitialNamesAccepted", "", in: &old, at: "2026-01-01T00:00:00Z")
        var new = old
        new["spec", "scope"] = "Cluster"
        new["spec", "names", "kind"] = "Other"
        #expect(DefinitionRules.faults(in: new, from: old).map(\.path) == ["spec.scope", "spec.names.kind"])
    }

    /// A version's own fields are named under the version when versions differ, and once for all when they do not.
    @Test func namesThePlaceAsUpstreamDoes() {
        let bad: JSON = ["type": "object", "properties": ["spec": ["type": "object", "properties": ["x": [:]]]]]
        let message = "must not be empty for specified object fields"
        #expect(
            Sample.faults(schema: bad) == [
                "spec.validation.openAPIV3Schema.properties[spec].properties[x].type: Required value: \(message)"
            ])
        let two = Sample.definition(versions: [
            Sample.version("v1"), Sample.version("v2", schema: bad, isStorage: false),
        ])
        #expect(
            Sample.faults(two) == [
                "spec.versions[1].schema.openAPIV3Schema.properties[spec].properties[x].type: Required value: \(message)"
            ])
    }

    static let checksWhatVersionsCarryCases: [FieldCase] = [
        FieldCase(["selectableFields"], #"[{"jsonPath": ".spec.colour"}]"#, []),
        FieldCase(
            ["selectableFields"], #"[{"jsonPath": ".spec.nope"}]"#,
            [
                "spec.selectableFields[0].jsonPath: Invalid value: \".spec.nope\": is an invalid path: does "
                    + "not refer to a valid field"
            ]),
        FieldCase(
            ["selectableFields"], #"[{"jsonPath": ".spec.free"}]"#,
            [
                "spec.selectableFields[0].jsonPath: Invalid value: \".spec.free\": must point to a field "
                    + "of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            ]),
        FieldCase(
            ["subresources"], #"{"scale": {"specReplicasPath": ".status.n", "statusReplicasPath": ".status.n"}}"#,
            [
                "spec.subresources.scale.specReplicasPath: Invalid value: \".status.n\": should be a json "
                    + "path under .spec"
            ]),
        FieldCase(
            ["additionalPrinterColumns"], #"[{"name": "A", "type": "text", "jsonPath": ".spec.a"}]"#,
            [
                "spec.additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of boolean,date,integer,number,string"
            ]),
        FieldCase(
            ["additionalPrinterColumns"], #"[{"name": "A", "type": "string", "jsonPath": "spec.a"}]"#,
            [
                "spec.additionalPrinterColumns[0].JSONPath: Invalid value: \"spec.a\": must be a simple json "
                    + "path starting with ."
            ]),
        FieldCase(
            ["deprecationWarning"], #""old""#,
            [
                "spec.versions[0].deprecationWarning: Invalid value: \"old\": can only be set for deprecated "
                    + "versions"
            ]),
    ]

    @Test(arguments: checksWhatVersionsCarryCases)
    func checksWhatVersionsCarry(_ one: FieldCase) throws {
        var version = Sample.version("v1")
        version.set(try one.value, at: one.path)
        #expect(Sample.faults(Sample.definition(versions: [version])) == one.expected)
    }

    @Test func warnsOfWhatIsNotEvaluated() {
        var schema = Sample.schema
        schema["x-kubernetes-validations"] = [["rule": "self.spec.size < 5"]]
        schema["properties", "spec", "properties", "mail"] = ["type": "string", "format": "pigeon"]
        let definition = Sample.definition(versions: [Sample.version("v1", schema: schema)])
        #expect(Sample.faults(definition) == [])
        let warnings = DefinitionDefaults.warnings(for: definition)
        #expect(warnings.count == 2)
        #expect(warnings[0].contains("does not evaluate CEL rules"))
        #expect(warnings[1] == "unrecognized format \"pigeon\"")
    }

    @Test func ordersVersions() {
        let names = ["v1alpha1", "foo", "v2", "v1beta2", "v11", "v1beta10", "v1"]
        #expect(
            names.sorted { VersionOrder.isBefore($0, $1) } == [
                "v11", "v2", "v1", "v1beta10", "v1beta2", "v1alpha1", "foo",
            ])
    }
}

@Suite struct NamingTests {
    private static let moment = "2026-01-01T00:00:00Z"

    private func settle(_ definitions: [Object]) -> [String: Object] {
        var machine = NamingMachine(definitions)
        var result = Dictionary(uniqueKeysWithValues: definitions.map { ($0.name, $0) })
        for action in machine.settled(at: Self.moment) {
            result[action.name]?["status", "acceptedNames"] = action.acceptedNames
            result[action.name]?["status", "conditions"] = .array(action.conditions)
        }
        return result
    }

    @Test func acceptsAndEstablishes() throws {
        let thing = try #require(settle([Sample.definition()])["things.example.com"])
        #expect(thing.condition("NamesAccepted")?["reason"] == "NoConflicts")
        #expect(thing.condition("NamesAccepted")?["message"] == "no conflicts found")
        #expect(thing.condition("Established")?["reason"] == "InitialNamesAccepted")
        #expect(thing.isTrue("Established"))
        #expect(Definition(thing).resources.map(\.resource.plural) == ["things"])
        var again = NamingMachine([thing])
        #expect(again.settled(at: "2027-01-01T00:00:00Z") == [])
    }

    @Test func theSecondOneWaitsForItsNames() throws {
        var first = Sample.definition()
        first.tree["metadata", "creationTimestamp"] = "2026-01-01T00:00:00Z"
        var second = Sample.definition("thingies", kind: "Thing")
        second.tree["metadata", "creationTimestamp"] = "2026-01-01T00:00:01Z"
        let settled = settle([second, first])
        #expect(settled[first.name]?.isTrue("Established") == true)
        let waiting = try #require(settled[second.name])
        #expect(waiting.condition("NamesAccepted")?["status"] == "False")
        #expect(waiting.condition("NamesAccepted")?["reason"] == "ListKindConflict")
        #expect(waiting.condition("NamesAccepted")?["message"] == "\"ThingList\" is already in use")
        #expect(waiting.condition("Established")?["reason"] == "NotAccepted")
        #expect(Definition(waiting).resources.isEmpty)
        // The first one goes, the second one gets what it asked for.
        #expect(settle([waiting])[second.name]?.isTrue("Established") == true)
    }

    @Test func otherGroupsDoNotMatter() {
        var other = Sample.definition()
        other["spec", "group"] = "other.com"
        other.name = "things.other.com"
        #expect(settle([Sample.definition(), other]).values.allSatisfy { $0.isTrue("Established") })
    }
}
