// Label and field selectors in every form that clients send.

import Formats
import Objects
import Testing

@Suite struct SelectorTests {
    @Test(arguments: [
        ("", true), ("app=web", true), ("app==web,tier=front", true), ("app!=web", false), ("zone!=a", true),
        ("app in (api, web)", true), ("app notin (web)", false), ("zone notin (a)", true), ("tier", true),
        ("!tier", false),
        ("!zone", true), (" app = web , !zone ", true), ("size>3", true), ("size<3", false), ("zone>1", false),
        ("empty=", true), ("app=", false),
    ])
    func matchesText(text: String, expected: Bool) throws {
        let labels = ["app": "web", "tier": "front", "size": "5", "empty": ""]
        let selector = try LabelSelector(parsing: text)
        #expect(selector.matches(labels) == expected)
        #expect(try LabelSelector(parsing: selector.text) == selector)
    }

    @Test(arguments: [
        "=web", "app in web", "app in (web", "app web", "app=web tier=x", "app=web,", "size>x", "app!web",
    ])
    func refusesText(text: String) {
        #expect(throws: FormatProblem.self) { try LabelSelector(parsing: text) }
    }

    @Test func matchesObjectForm() throws {
        let selector = try LabelSelector([
            "matchLabels": ["app": "web"],
            "matchExpressions": [
                ["key": "tier", "operator": "In", "values": ["front"]], ["key": "zone", "operator": "DoesNotExist"],
            ],
        ])
        #expect(selector.matches(["app": "web", "tier": "front"]))
        #expect(!selector.matches(["app": "web", "tier": "front", "zone": "a"]))
        #expect(!selector.matches(["app": "web"]))
        #expect(throws: FormatProblem.self) {
            try LabelSelector(["matchExpressions": [["key": "a", "operator": "In"]]])
        }
    }

    @Test func matchesFields() throws {
        let object = Object(["metadata": ["name": "a,b"], "spec": ["nodeName": "one", "unschedulable": true]])
        for text in ["metadata.name=a\\,b", "spec.nodeName==one,status.phase!=Failed", "spec.unschedulable=true", ""] {
            let selector = try FieldSelector(parsing: text)
            #expect(selector.matches(object), "\(text)")
            #expect(try FieldSelector(parsing: selector.text) == selector)
        }
        #expect(!(try FieldSelector(parsing: "spec.nodeName!=one")).matches(object))
        #expect(try FieldSelector(parsing: "metadata.name=x").exact("metadata.name") == "x")
        #expect(throws: FormatProblem.self) { try FieldSelector(parsing: "metadata.name") }
        #expect(throws: FormatProblem.self) { try FieldSelector(parsing: "a=b\\") }
    }
}
