import Catalogue
package import Credits

/// The recorded facts about an end user that are not credits or settings.
package struct EndUserProfile: Hashable, Sendable {
    package internal(set) var name: String?
    package internal(set) var metadata: Metadata?
    package let createdAt: Instant
    package internal(set) var updatedAt: Instant
    /// Nil unless the end user was erased.
    package let erasedAt: Instant?

    package init(
        name: String?, metadata: Metadata?, createdAt: Instant, updatedAt: Instant, erasedAt: Instant? = nil
    ) {
        self.name = name
        self.metadata = metadata
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.erasedAt = erasedAt
    }

    mutating func apply(_ change: EndUserChange, now: Instant) {
        name = change.name.applied(to: name)
        metadata = change.metadata.applied(to: metadata)
        updatedAt = now
    }
}
