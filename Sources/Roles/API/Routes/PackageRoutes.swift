import Answers
import Catalogue
import Commands
import Credits
import Storage

extension CatalogueItemRoutes<PackageRow> {
    /// Top-up packages: amounts of credits that a tenant sells at a price.
    static func packages(_ services: APIServices) -> Self {
        CatalogueItemRoutes(
            services: services, path: "/v1/topup-packages", key: { PackageKey($0) },
            place: { ($0.createdAt, $0.key.rawValue) }, unknown: .unknownPackage(),
            creation: { reader in reader.newPackage() },
            change: { reader, key in reader.packageChange().map { .updatePackage(key: key, $0) } },
            write: { json, package in json.topupPackage(package) })
    }
}
