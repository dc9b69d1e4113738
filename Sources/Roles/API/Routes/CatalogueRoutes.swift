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
            change: { reader in reader.featureChange().map { change in { .updateFeature(key: $0, change) } } },
            write: { json, feature in json.feature(feature) }, names: ("Feature", "Features"), noun: "a feature",
            schema: .feature)
    }

    /// Top-up packages: amounts of credits that a tenant sells at a price.
    private var packages: CatalogueItemRoutes<PackageRow> {
        CatalogueItemRoutes(
            services: services, path: "/v1/topup-packages", key: { PackageKey($0) },
            place: { ($0.createdAt, $0.key.rawValue) }, unknown: .unknownPackage(),
            creation: { reader in reader.newPackage() },
            change: { reader in reader.packageChange().map { change in { .updatePackage(key: $0, change) } } },
            write: { json, package in json.topupPackage(package) }, names: ("TopupPackage", "TopupPackages"),
            noun: "a top-up package", schema: .topupPackage)
    }

    /// Plans: what a tenant sells under one name.
    private var plans: CatalogueItemRoutes<PlanRow> {
        CatalogueItemRoutes(
            services: services, path: "/v1/plans", key: { PlanName($0) },
            place: { ($0.createdAt, $0.id.description) }, unknown: .unknownPlan(),
            creation: { reader in reader.newPlan().map { .createPlan($0) } },
            change: { reader in reader.planChange().map { change in { .updatePlan($0, change) } } },
            write: { json, plan in json.plan(plan) }, names: ("Plan", "Plans"), noun: "a plan", schema: .plan)
    }
}
