// How objects of a resource look to clients, where they are kept in another form.

/// A two-way view of stored objects, carried by the `Resource` that clients name (see `Resource.view`).
package protocol ResourceView: Sendable {
    /// A stored object as clients of the resource see it.
    func shown(_ stored: Object) -> Object
    /// An object as clients of the resource have it, in the form that is stored.
    func stored(_ object: Object) -> Object
}
