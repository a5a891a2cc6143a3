// The version of Kubernetes whose API this program speaks; said once, so that nothing can disagree.

package enum KubernetesVersion {
    package static let major = "1"
    package static let minor = "36"
    /// As `GET /version` and the Node say it.
    package static let git = "v\(major).\(minor).0+mangrove"
    package static let short = "\(major).\(minor)"
}
