package import Catalogue
import Credits
package import JSON

extension JSONWriter {
    package mutating func topupPackage(_ package: TopupPackage) {
        let terms = package.terms
        beginObject()
        member("key", package.key.rawValue)
        member("name", terms.name)
        member("credits", terms.credits.rawValue)
        member("price", terms.price)
        member("currency", terms.currency)
        member("expires_after", terms.expiresAfter?.iso8601)
        member("priority", terms.priority.map { Int64($0) })
        member("archived", package.isArchived)
        member("created_at", package.createdAt as Instant?)
        member("updated_at", package.updatedAt as Instant?)
        endObject()
    }
}
