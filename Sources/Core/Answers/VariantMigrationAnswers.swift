package import Catalogue
package import Commands
package import Credits
package import JSON
import Ledger

extension JSONWriter {
    /// Writes a job with its progress.
    package mutating func variantMigration(_ migration: VariantMigration) {
        beginObject()
        member("id", migration.id)
        member("plan_variant_id", migration.variantID)
        target(migration.target)
        member("effective", migration.timing.rawValue)
        member("proration", migration.proration.rawValue)
        member("status", migration.finishedAt == nil ? "running" : "done")
        member("total", migration.total)
        member("moved", migration.progress.moved)
        member("skipped", migration.progress.skipped)
        member("failed", migration.progress.failed)
        member("created_at", migration.createdAt as Instant?)
        member("finished_at", migration.finishedAt)
        endObject()
    }

    /// Writes what a job would do.
    package mutating func dryRun(_ dryRun: VariantMigrationDryRun) {
        beginObject()
        member("dry_run", true)
        member("plan_variant_id", dryRun.variantID)
        target(dryRun.target.reference)
        member("effective", dryRun.request.timing.rawValue)
        member("proration", dryRun.request.proration.rawValue)
        member("total", dryRun.inUse.reduce(0) { $0 + $1.count })
        object("statuses") { json in
            for status in SubscriptionStatus.allCases {
                let count = dryRun.inUse.reduce(0) { $0 + ($1.status == status ? $1.count : 0) }
                guard count > 0 else { continue }
                json.key(status.rawValue)
                json.value(count)
            }
        }
        let byVersion = Dictionary(grouping: dryRun.inUse, by: \.version).sorted { $0.key > $1.key }
        array("versions", byVersion) { json, version in
            json.beginObject()
            json.member("version", Int64(version.key))
            json.member("total", version.value.reduce(0) { $0 + $1.count })
            json.endObject()
        }
        array("changes", dryRun.changes) { json, change in
            json.beginObject()
            json.member("version", Int64(change.version))
            json.member("term", change.difference.term)
            json.key("from")
            json.value(change.difference.from)
            json.key("to")
            json.value(change.difference.to)
            json.endObject()
        }
        endObject()
    }

    private mutating func target(_ target: VariantReference) {
        object("to") { json in
            json.member("plan_variant_id", target.id)
            json.member("version", Int64(target.version))
        }
    }
}

/// The effect of a job that is not started: the subscriptions that it would find, and the terms that would change.
package struct VariantMigrationDryRun: Sendable {
    /// The versions whose terms are compared: the newest ones in use. It bounds the answer, because the terms of a version
    /// can have 64 KiB.
    package static let comparedVersions = 20

    package let variantID: PublicID
    package let target: PlanVariant
    package let request: NewVariantMigration
    package let inUse: [SubscriptionsInUse]
    /// Newest version first.
    package let changes: [(version: Int32, difference: TermDifference)]

    /// - Parameter versions: The newest versions of the variant that subscriptions have.
    package init(
        of variantID: PublicID, to target: PlanVariant, _ request: NewVariantMigration, inUse: [SubscriptionsInUse],
        versions: [PlanVariant]
    ) {
        self.variantID = variantID
        self.target = target
        self.request = request
        self.inUse = inUse
        changes = versions.sorted { $0.version > $1.version }.flatMap { version in
            version.terms.differences(to: target.terms).map { (version: version.version, difference: $0) }
        }
    }
}

extension Problem {
    package static let unknownVariantMigration = Problem(
        .notFound, "No migration of a variant has that id in this environment. Check the id.")

    /// The refusal to move subscriptions to a variant of another slot.
    ///
    /// - Parameters:
    ///   - slot: The slot of the subscriptions.
    ///   - targetSlot: The slot of the variant to which they would move.
    package static func otherSlot(_ targetSlot: PlanSlot, than slot: PlanSlot) -> Problem {
        Problem(
            .invalidTransition,
            "The variant is of the slot \(targetSlot.rawValue), its subscriptions would be of \(slot.rawValue). A subscription stays in its slot.",
            errors: [FieldError(pointer: "/to", detail: "must be a variant of the slot \(slot.rawValue)")])
    }

    /// - Parameter id: The job that runs.
    package static func migrationRuns(_ id: PublicID) -> Problem {
        Problem(
            .conflict,
            "The subscriptions of this variant are being moved by \(id). Wait until it is done: GET /v1/variant-migrations/\(id)."
        )
    }
}
