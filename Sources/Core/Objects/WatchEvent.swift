// What a watch tells of: one change of one object, or how far everything has been told.

/// One event of a watch.
package enum WatchEvent: Sendable, Hashable {
    case added(Object)
    case modified(Object)
    /// With the last state that the object had.
    case deleted(Object)
    /// Everything up to this revision has been told.
    case bookmark(resourceVersion: String)
}
