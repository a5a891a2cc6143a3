// A client of the Kubernetes API: objects in, objects out, over any transport.

import Formats
import Objects

/// Calls one API server. Every method throws `Problem`: for an answer that is not a success with the server's reason,
/// and with `ServiceUnavailable` when none came.
package struct KubernetesClient: Sendable {
    let transport: any Transport
    /// Sent as `User-Agent` and, unless a call names another, as `fieldManager`.
    package let name: String

    /// Whether objects that are read come with their metadata only, which costs readers of many kinds less.
    private(set) var readsMetadataOnly = false

    package init(transport: any Transport, name: String) {
        self.transport = transport
        self.name = name
    }

    /// The same client, reading metadata only.
    package var showingMetadataOnly: KubernetesClient {
        var client = self
        client.readsMetadataOnly = true
        return client
    }
}

/// A page of a list.
package struct ObjectList: Sendable {
    package var objects: [Object]
    /// The revision that the list is true at; watch from here.
    package var resourceVersion: String
    /// The token for the next page; nil on the last.
    package var continuation: String?
}

/// What to leave out of a list or watch; empty strings select everything.
package struct Selection: Sendable, Hashable {
    package var namespace: String
    package var labels: String
    package var fields: String

    package init(namespace: String = "", labels: String = "", fields: String = "") {
        self.namespace = namespace
        self.labels = labels
        self.fields = fields
    }
}

/// The content types of PATCH.
package enum PatchKind: String, Sendable {
    case json = "application/json-patch+json"
    case merge = "application/merge-patch+json"
    case strategicMerge = "application/strategic-merge-patch+json"
}
