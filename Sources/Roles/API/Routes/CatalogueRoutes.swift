import Answers
import Catalogue
import Commands
import Credits
import Storage

/// The items of a catalogue that have a key of the tenant's own, and the variants of plans.
struct CatalogueRoutes {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        features.add(to: &routes)
        packages.add(to: &routes)
        plans.add(to: &routes)
        PlanVariantRoutes(services: services).add(to: &routes)
        VariantMigrationRoutes(services: services).add(to: &routes)
    }

    /// The features that an environment sells.
    private var features: CatalogueItemRoutes<FeatureRow> {
        CatalogueItemRoutes(
            services: services, path: "/v1/features", key: { FeatureKey($0) },
            place: { ($0.createdAt, $0.key.rawValue) }, unknown: .unknownFeature(),
            creation: { reader in reader.newFeature().map { .createFeature($0) } },
            change: { reader, key in reader.featureChange().map { .updateFeature(key: key, $0) } },
            write: { json, feature in json.feature(feature) })
    }

    /// Top-up packages: amounts of credits that a tenant sells at a price.
    private var packages: CatalogueItemRoutes<PackageRow> {
        CatalogueItemRoutes(
            services: services, path: "/v1/topup-packages", key: { PackageKey($0) },
            place: { ($0.createdAt, $0.key.rawValue) }, unknown: .unknownPackage(),
            creation: { reader in reader.newPackage() },
            change: { reader, key in reader.packageChange().map { .updatePackage(key: key, $0) } },
            write: { json, package in json.topupPackage(package) })
    }

    /// Plans: what a tenant sells under one name.
    private var plans: CatalogueItemRoutes<PlanRow> {
        CatalogueItemRoutes(
            services: services, path: "/v1/plans", key: { PlanName($0) },
            place: { ($0.createdAt, $0.id.description) }, unknown: .unknownPlan(),
            creation: { reader in reader.newPlan().map { .createPlan($0) } },
            change: { reader, name in reader.planChange().map { .updatePlan(name, $0) } },
            write: { json, plan in json.plan(plan) })
    }
}
