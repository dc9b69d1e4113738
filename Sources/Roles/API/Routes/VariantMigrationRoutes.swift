import Answers
import Catalogue
import Commands
import Credits
import Hummingbird
import JSON
import Postgres
import Storage

/// Migrations: jobs that move the live subscriptions of a variant to the latest version of a variant.
struct VariantMigrationRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.post(
            "/v1/variants/{key}/migrate", .write(.catalog),
            Operation(
                "migrateVariant", "Moves the subscriptions of a variant to the latest version of a variant.",
                body: { $0.variantMigration() },
                answers: [(200, .json(.dryRun)), (201, .json(.variantMigration))], problems: [.invalidTransition]),
            use: create)
        routes.get(
            "/v1/variant-migrations/{id}", .read(.catalog),
            Operation("getVariantMigration", "Shows a migration and its progress.", answers: .ok(.variantMigration)),
            use: show)
    }

    /// Makes a job. With `dry_run` it only shows what the job would find.
    @Sendable private func create(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response
    {
        let headers = try MutationHeaders(request, context, caller)
        guard let name = VariantName(try context.pathParameter("key")) else { throw Problem.unknownVariant() }
        let (migration, isDryRun) = try read(try await request.json()) { $0.variantMigration() }
        guard isDryRun else {
            return try await services.changeCatalogue(.migrateVariant(name, migration), caller, headers)
        }
        return try await withTaskExecutorPreference(LongWork.threads) {
            let dryRun = try await services.reads.read(of: caller.environmentID, .large) { connection in
                try await Self.dryRun(
                    of: name, migration, environmentID: caller.environmentID, on: connection)
            }
            var json = JSONWriter()
            json.dryRun(dryRun)
            return .json(json.bytes)
        }
    }

    /// Looks up what the command of a job looks up, and counts the subscriptions.
    private static func dryRun(
        of name: VariantName, _ migration: NewVariantMigration, environmentID: EnvironmentID,
        on connection: PostgresConnection
    ) async throws -> VariantMigrationDryRun {
        guard let variant = try await VariantStore.find(name, environmentID: environmentID, on: connection),
            let plan = try await PlanStore.find(.id(variant.planID), environmentID: environmentID, on: connection)
        else { throw Problem.unknownVariant(name) }
        let targetName = migration.target ?? .id(variant.id)
        guard let target = try await VariantStore.find(targetName, environmentID: environmentID, on: connection),
            !target.isArchived,
            let targetPlan = try await PlanStore.find(
                .id(target.planID), environmentID: environmentID, on: connection), !targetPlan.isArchived
        else { throw Problem.unknownVariant(targetName, at: "/to") }
        guard targetPlan.slot == plan.slot else { throw Problem.otherSlot(targetPlan.slot, than: plan.slot) }
        let inUse = try await VariantMigrationStore.inUse(
            variant.id, movingTo: target.reference, environmentID: environmentID, on: connection)
        let newest = Set(inUse.map { $0.version }).sorted(by: >).prefix(VariantMigrationDryRun.comparedVersions)
        let versions = try await VariantStore.versions(
            Array(newest), of: variant.id, environmentID: environmentID, on: connection)
        return VariantMigrationDryRun(of: variant.id, to: target, migration, inUse: inUse, versions: versions)
    }

    @Sendable private func show(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        try RequestQuery(request).finish()
        guard let id = PublicID(.variantMigration, parsing: try context.pathParameter("id")) else {
            throw Problem.unknownVariantMigration
        }
        let found = try await services.reads.read(of: caller.environmentID) { connection in
            try await VariantMigrationStore.find(id, environmentID: caller.environmentID, on: connection)
        }
        guard let found else { throw Problem.unknownVariantMigration }
        var json = JSONWriter()
        json.variantMigration(found)
        return .json(json.bytes)
    }
}
