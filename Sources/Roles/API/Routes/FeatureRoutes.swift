import Answers
import Catalogue
import Commands
import Credits
import Storage

extension CatalogueItemRoutes<FeatureRow> {
    /// The features that an environment sells.
    static func features(_ services: APIServices) -> Self {
        CatalogueItemRoutes(
            services: services, path: "/v1/features", key: { FeatureKey($0) },
            place: { ($0.createdAt, $0.key.rawValue) }, unknown: .unknownFeature(),
            creation: { reader in reader.newFeature().map { .createFeature($0) } },
            change: { reader, key in reader.featureChange().map { .updateFeature(key: key, $0) } },
            write: { json, feature in json.feature(feature) })
    }
}
