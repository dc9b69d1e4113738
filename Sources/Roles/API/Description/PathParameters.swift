import Answers
import Credits
import JSON

/// The parameters of paths, by the part of the path before them.
enum PathParameters {
    private static let schemas: [String: JSONSchema] = [
        "api-keys": .id(.key), "auto-topups": .id(.topUpRequest), "metering-rules": .id(.rule),
        "operations": .id(.operation), "reservations": .id(.reservation), "spend-caps": .id(.spendCap),
        "subscriptions": .id(.subscription), "tenants": .id(.tenant), "test-clocks": .id(.testClock),
        "variant-migrations": .id(.variantMigration), "webhook-deliveries": .id(.webhookDelivery),
        "webhook-endpoints": .id(.webhookEndpoint),
        "end-users": .text(
            "The tenant's own id of the end user, percent-encoded.", "user_123", 1...EndUserID.maximumBytes),
        "features": .key("The key of the feature.", "api_calls"),
        "limits": .text(
            "The key of the limit; `quota:` and the key of a feature for its quota.", "daily",
            pattern: "^(quota:)?[A-Za-z0-9_.:-]{1,64}$"),
        "plans": .key("The id or the key of the plan.", "pro"),
        "topup-packages": .key("The key of the package.", "credits-1000"),
        "variants": .key("The id or the key of the variant.", "pro-monthly"),
        "docs": .text("The name of a page or of a folder of pages.", "quickstart"),
        "{page}": .text("The name of a page of the folder.", "credits"),
    ]

    /// The parameters of a path, in their order.
    static func of(_ path: String) -> [JSONSchema.Member] {
        let parts = path.split(separator: "/").map(String.init)
        return zip([""] + parts, parts).filter { $1.hasPrefix("{") }.map { before, part in
            JSONSchema.Member(String(part.dropFirst().dropLast()), schemas[before] ?? JSONSchema(.any))
        }
    }
}
