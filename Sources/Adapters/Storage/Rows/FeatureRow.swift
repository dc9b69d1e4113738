package import Catalogue
package import Credits
import Metering
package import Postgres

/// A row of `features`.
package struct FeatureRow: MutableCatalogueRow {
    package let environmentID: EnvironmentID
    package let item: Feature

    package static let keyColumn = "feature_key"
    package static let table = "features"
    package static let columns = [
        "environment_id", "feature_key", "name", "type", "unit_name", "quota", "report_by", "created_at", "updated_at",
        "archived_at", "quota_since",
    ]

    package init(environmentID: EnvironmentID, item: Feature) {
        self.environmentID = environmentID
        self.item = item
    }

    package init(_ fields: inout RowFields, keeping old: FeatureRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.item
        var feature = Feature(
            key: try fields.featureKey(or: before?.key), name: try fields.text(or: before?.name),
            type: try fields.parsed("type", or: before?.type) { FeatureType(rawValue: $0) },
            unitName: try fields.textOrNil(or: before.map(\.unitName)),
            quota: try fields.parsedOrNil("quota", or: before.map(\.quota)) { try Quota(json: $0) },
            reportBy: try Self.reportBy(&fields, or: before?.reportBy),
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt),
            archivedAt: try fields.instantOrNil(or: before.map(\.archivedAt)))
        feature.quotaSince = try fields.instantOrNil(or: before.map(\.quotaSince))
        item = feature
    }

    private static func reportBy(_ fields: inout RowFields, or old: ReportAttributes?) throws -> ReportAttributes {
        guard let attributes = ReportAttributes(try fields.texts(or: old?.names)) else {
            throw StorageError.unknownValue(column: "report_by")
        }
        return attributes
    }
}

extension FeatureRow {
    package func enter(_ catalogue: inout Catalogue) {
        catalogue.insert(item)
    }

    package static func item(_ key: inout RowFields, in catalogue: Catalogue) throws -> Feature? {
        catalogue.features[try key.featureKey()]
    }

    package static func value(of key: FeatureKey) -> PostgresValue { .text(key.rawValue) }

    private static let written: [BulkColumn<FeatureRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .text("feature_key") { $0.item.key.rawValue as String },
        .text("name") { $0.item.name as String },
        .text("unit_name") { $0.item.unitName },
        .text("quota") { $0.item.quota?.canonicalJSON },
        .instant("quota_since") { $0.item.quotaSince },
        .names("report_by") { $0.item.reportBy.names },
        .instant("updated_at") { $0.item.updatedAt as Instant },
        .instant("archived_at") { $0.item.archivedAt },
    ]

    package func insertQuery() -> PostgresQuery { Self.insertStatement.query([self]) }

    package func updateQuery() -> PostgresQuery { Self.updateStatement.query([self]) }

    private static let insertStatement = BulkStatement<FeatureRow>.insert(
        into: FeatureRow.table,
        written + [
            .text("type") { $0.item.type.rawValue as String },
            .instant("created_at") { $0.item.createdAt as Instant },
        ])

    private static let updateStatement = BulkStatement<FeatureRow>.update(
        FeatureRow.table, key: ["environment_id", "feature_key"], written)
}

/// The features of environments.
package typealias FeatureStore = CatalogueItems<FeatureRow>
