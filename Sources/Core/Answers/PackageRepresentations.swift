package import Credits
package import JSON
package import Metering

/// A top-up package as it is shown.
package struct PackageRecord: Hashable, Sendable {
    package let package: TopupPackage
    package let createdAt: Instant
    package let updatedAt: Instant

    package init(package: TopupPackage, createdAt: Instant, updatedAt: Instant) {
        self.package = package
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}

extension JSONWriter {
    package mutating func topupPackage(_ record: PackageRecord) {
        let package = record.package
        beginObject()
        member("key", package.key.rawValue)
        member("name", package.name)
        member("credits", package.credits.rawValue)
        member("price", package.price)
        member("currency", package.currency)
        member("expires_after", package.expiresAfter?.iso8601)
        member("priority", package.priority.map { Int64($0) })
        member("archived", package.isArchived)
        member("created_at", record.createdAt as Instant?)
        member("updated_at", record.updatedAt as Instant?)
        endObject()
    }
}
