// Roles, bindings and the bootstrap policy, without a server.

import Formats
import Objects
import Testing

@testable import Access

/// Roles and bindings as text, for tests.
enum RoleSample {
    static func role(_ name: String, in namespace: String = "", _ rules: JSON...) -> Object {
        let kind: RoleKind = namespace.isEmpty ? .clusterRole : .role
        var object = Object(kind.resource, namespace: namespace, name: name)
        object["rules"] = .array(rules)
        return object
    }

    static func rule(_ verbs: String, _ resources: String, group: String = "", names: [String] = []) -> JSON {
        func list(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }
        return PolicyRule(
            verbs: list(verbs), apiGroups: [group], resources: list(resources), resourceNames: names
        ).tree
    }

    /// `role` is `Role/x` or `ClusterRole/x`, a subject `User/x`, `Group/x` or `ServiceAccount/namespace/x`.
    static func binding(_ name: String, in namespace: String = "", to role: String, _ subjects: String...) -> Object {
        let kind: RoleKind = namespace.isEmpty ? .clusterRoleBinding : .roleBinding
        var object = Object(kind.resource, namespace: namespace, name: name)
        let words = role.split(separator: "/").map { JSON.string(String($0)) }
        object["roleRef"] = ["apiGroup": "rbac.authorization.k8s.io", "kind": words[0], "name": words[1]]
        object["subjects"] = .array(
            subjects.map { subject in
                let words = subject.split(separator: "/").map { JSON.string(String($0)) }
                if words.count == 3 { return ["kind": words[0], "namespace": words[1], "name": words[2]] }
                return ["kind": words[0], "name": words[1], "apiGroup": "rbac.authorization.k8s.io"]
            })
        return object
    }
}

@Suite struct RoleTests {
    private let authorizer = Authorizer()
    private let jane = Identity(name: "jane", groups: ["dev", "system:authenticated"])

    private func store(_ objects: Object...) {
        for object in objects { if let kind = kind(object) { authorizer.stored(kind, object) } }
    }

    private func kind(_ object: Object) -> RoleKind? { RoleKind.allCases.first { $0.resource.kind == object.kind } }

    private func may(_ identity: Identity, _ verb: String, _ target: AccessRequest.Target) -> Bool {
        authorizer.decide(identity, AccessRequest(verb: verb, target: target)).isAllowed
    }

    @Test func rolesReachAsFarAsTheirBindings() {
        store(
            RoleSample.role("reader", RoleSample.rule("get,list", "pods")),
            RoleSample.binding("in-shop", in: "shop", to: "ClusterRole/reader", "User/jane"))
        #expect(may(jane, "list", .init(plural: "pods", namespace: "shop")))
        #expect(!may(jane, "list", .init(plural: "pods", namespace: "other")))
        #expect(!may(jane, "list", .init(plural: "pods")))
        #expect(!may(jane, "watch", .init(plural: "pods", namespace: "shop")))
        #expect(!may(jane, "get", .init(plural: "pods", subresource: "log", namespace: "shop", name: "a")))
        #expect(!may(jane, "get", .init(group: "apps", plural: "pods", namespace: "shop", name: "a")))
        store(RoleSample.binding("everywhere", to: "ClusterRole/reader", "Group/dev"))
        #expect(may(jane, "list", .init(plural: "pods")))
        #expect(may(jane, "list", .init(plural: "pods", namespace: "other")))
        authorizer.removed(.clusterRoleBinding, ObjectKey(name: "everywhere"))
        #expect(!may(jane, "list", .init(plural: "pods")))
        authorizer.removed(.clusterRole, ObjectKey(name: "reader"))
        let refused = authorizer.decide(
            jane, AccessRequest(verb: "list", target: .init(plural: "pods", namespace: "shop")))
        #expect(refused.reason == "RBAC: clusterrole.rbac.authorization.k8s.io \"reader\" not found")
    }

    @Test func aBindingThatChangesForgetsWhatItGave() {
        store(
            RoleSample.role("reader", in: "shop", RoleSample.rule("get", "pods")),
            RoleSample.binding("b", in: "shop", to: "Role/reader", "User/jane", "ServiceAccount/tools/robot"))
        let robot = Identity(name: "system:serviceaccount:tools:robot", groups: ["system:serviceaccounts"])
        let target = AccessRequest.Target(plural: "pods", namespace: "shop", name: "a")
        #expect(may(jane, "get", target) && may(robot, "get", target))
        store(RoleSample.binding("b", in: "shop", to: "Role/reader", "ServiceAccount/tools/robot"))
        #expect(!may(jane, "get", target) && may(robot, "get", target))
    }

    @Test func namesSubresourcesAndStars() {
        store(
            RoleSample.role(
                "fine", RoleSample.rule("get", "configmaps", names: ["one"]),
                RoleSample.rule("update", "*/scale", group: "*"),
                RoleSample.rule("*", "secrets"), ["verbs": ["get"], "nonResourceURLs": ["/metrics", "/logs/*"]]),
            RoleSample.binding("b", to: "ClusterRole/fine", "User/jane"))
        #expect(may(jane, "get", .init(plural: "configmaps", namespace: "a", name: "one")))
        #expect(!may(jane, "get", .init(plural: "configmaps", namespace: "a", name: "two")))
        #expect(!may(jane, "list", .init(plural: "configmaps", namespace: "a")))
        #expect(may(jane, "update", .init(group: "apps", plural: "deployments", subresource: "scale", namespace: "a")))
        #expect(
            !may(jane, "update", .init(group: "apps", plural: "deployments", subresource: "status", namespace: "a")))
        #expect(may(jane, "deletecollection", .init(plural: "secrets", namespace: "a")))
        for (path, isAllowed) in [("/metrics", true), ("/metrics/x", false), ("/logs/a/b", true), ("/logs", false)] {
            #expect(authorizer.decide(jane, AccessRequest(verb: "get", path: path)).isAllowed == isAllowed, "\(path)")
        }
    }

    @Test func rolesAggregateWhatIsLabelledNow() {
        var all = RoleSample.role("all")
        all["aggregationRule"] = ["clusterRoleSelectors": [["matchLabels": ["part": "yes"]]]]
        var part = RoleSample.role("part", RoleSample.rule("get", "pods"))
        part.labels = ["part": "yes"]
        store(all, part, RoleSample.binding("b", to: "ClusterRole/all", "User/jane"))
        #expect(may(jane, "get", .init(plural: "pods")))
        part.labels = [:]
        store(part)
        #expect(!may(jane, "get", .init(plural: "pods")))
        // Roles that aggregate each other end.
        var mirror = all
        mirror.name = "mirror"
        mirror.labels = ["part": "yes"]
        all.labels = ["part": "yes"]
        part.labels = ["part": "yes"]
        store(all, mirror, part)
        #expect(may(jane, "get", .init(plural: "pods")))
    }

    @Test func escalationIsSpelledAsUpstreamDoes() {
        store(
            RoleSample.role(
                "some", RoleSample.rule("get,list", "pods"), RoleSample.rule("get", "configmaps", names: ["a"])),
            RoleSample.binding("b", to: "ClusterRole/some", "User/jane"))
        func escalation(_ rules: JSON...) -> String? {
            authorizer.escalation(of: jane, in: "", to: rules.map(PolicyRule.init))
        }
        #expect(escalation(RoleSample.rule("get", "pods"), RoleSample.rule("get", "configmaps", names: ["a"])) == nil)
        #expect(
            escalation(
                RoleSample.rule("get,delete,watch", "pods"), RoleSample.rule("get", "configmaps"),
                ["verbs": ["get"], "nonResourceURLs": ["/x"]])
                == "user \"jane\" (groups=[\"dev\" \"system:authenticated\"]) is attempting to grant RBAC permissions not "
                + "currently held:\n{APIGroups:[\"\"], Resources:[\"configmaps\"], Verbs:[\"get\"]}\n"
                + "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"watch\"]}\n"
                + "{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}")
    }
}

@Suite struct BootstrapPolicyTests {
    private let entries = BootstrapPolicy.entries

    private func object(_ kind: RoleKind, _ name: String, in namespace: String = "") -> Object? {
        entries.first { $0.kind == kind && $0.object.name == name && $0.object.namespace == namespace }?.object
    }

    @Test func everyRoleIsThereOnceAndSaysSomething() throws {
        let keys = entries.map { "\($0.kind) \($0.object.namespace)/\($0.object.name)" }
        #expect(Set(keys).count == keys.count)
        #expect(entries.count { $0.kind == .clusterRole } > 60)
        for entry in entries {
            #expect(entry.object.labels["kubernetes.io/bootstrapping"] == "rbac-defaults")
            #expect(entry.object.annotations["rbac.authorization.kubernetes.io/autoupdate"] == "true")
            for rule in entry.object["rules"]?.array ?? [] {
                let rule = PolicyRule(rule)
                #expect(!rule.verbs.isEmpty, "\(entry.object.name)")
                #expect(
                    rule.nonResourceURLs.isEmpty != (rule.resources.isEmpty || rule.apiGroups.isEmpty),
                    "\(entry.object.name)")
            }
            guard let reference = entry.object["roleRef"] else { continue }
            let kind: RoleKind = reference["kind"]?.string == "Role" ? .role : .clusterRole
            let named = object(kind, reference["name"]?.string ?? "", in: kind == .role ? entry.object.namespace : "")
            #expect(named != nil, "\(entry.object.name) is bound to nothing")
        }
    }

    @Test func itGivesWhatItsNamesPromise() {
        let authorizer = Authorizer()
        for entry in entries { authorizer.stored(entry.kind, entry.object) }
        var team = Object(RoleKind.roleBinding.resource, namespace: "shop", name: "team")
        func grant(_ role: String) -> Identity {
            team["roleRef"] = ["kind": "ClusterRole", "name": .string(role)]
            team["subjects"] = [["kind": "User", "name": "u"]]
            authorizer.stored(.roleBinding, team)
            return Identity(name: "u", groups: [])
        }
        func may(_ identity: Identity, _ verb: String, _ group: String, _ plural: String) -> Bool {
            let target = AccessRequest.Target(group: group, plural: plural, namespace: "shop")
            return authorizer.decide(identity, AccessRequest(verb: verb, target: target)).isAllowed
        }
        let view = grant("view")
        #expect(may(view, "list", "", "pods") && !may(view, "get", "", "secrets") && !may(view, "create", "", "pods"))
        let edit = grant("edit")
        #expect(
            may(edit, "create", "apps", "deployments") && may(edit, "get", "", "secrets")
                && may(edit, "list", "", "pods"))
        #expect(!may(edit, "create", "rbac.authorization.k8s.io", "roles"))
        let admin = grant("admin")
        #expect(
            may(admin, "create", "rbac.authorization.k8s.io", "roles") && may(admin, "delete", "apps", "deployments"))
        #expect(!may(admin, "create", "", "resourcequotas"))
    }

    @Test func whatIsLackingIsAddedAndNothingTaken() throws {
        let wanted = try #require(object(.clusterRole, "system:basic-user"))
        #expect(BootstrapPolicy.reconciled(wanted, with: wanted) == nil)
        var stored = wanted
        let own = RoleSample.rule("get", "pods")
        stored["rules"] = [own]
        stored.labels = [:]
        let reconciled = try #require(BootstrapPolicy.reconciled(stored, with: wanted))
        #expect(reconciled["rules"]?.array == [own] + (wanted["rules"]?.array ?? []))
        #expect(reconciled.labels == wanted.labels)
        stored.annotations = ["rbac.authorization.kubernetes.io/autoupdate": "false"]
        #expect(BootstrapPolicy.reconciled(stored, with: wanted) == nil)
        let binding = try #require(object(.clusterRoleBinding, "system:public-info-viewer"))
        var halved = binding
        halved["subjects"] = .array(Array((binding["subjects"]?.array ?? []).prefix(1)))
        #expect(BootstrapPolicy.reconciled(halved, with: binding)?["subjects"] == binding["subjects"])
    }
}
