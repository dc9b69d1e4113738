package import Catalogue
package import Credits
package import Postgres
import Metering

/// A row of `features`.
package struct FeatureRow: TableRow, Sendable {
    package let environmentID: EnvironmentID
    package let feature: Feature

    package static let table = "features"
    package static let columns = [
        "environment_id", "feature_key", "name", "type", "unit_name", "quota", "created_at", "updated_at",
        "archived_at",
    ]

    package init(environmentID: EnvironmentID, feature: Feature) {
        self.environmentID = environmentID
        self.feature = feature
    }

    package init(_ fields: inout RowFields, keeping old: FeatureRow?) throws {
        environmentID = try fields.environmentID(or: old?.environmentID)
        let before = old?.feature
        feature = Feature(
            key: try fields.featureKey(or: before?.key), name: try fields.text(or: before?.name),
            type: try fields.parsed("type", or: before?.type) { FeatureType(rawValue: $0) },
            unitName: try fields.textOrNil(or: before.map(\.unitName)),
            quota: try fields.parsedOrNil("quota", or: before.map(\.quota)) { try Quota(json: $0) },
            createdAt: try fields.instant(or: before?.createdAt), updatedAt: try fields.instant(or: before?.updatedAt),
            archivedAt: try fields.instantOrNil(or: before.map(\.archivedAt)))
    }
}

extension BulkStatement<FeatureRow> {
    private static let columns: [BulkColumn<FeatureRow>] = [
        .int32("environment_id") { $0.environmentID.rawValue as Int32 },
        .text("feature_key") { $0.feature.key.rawValue as String },
        .text("name") { $0.feature.name as String },
        .text("unit_name") { $0.feature.unitName },
        .text("quota") { $0.feature.quota?.canonicalJSON },
        .instant("updated_at") { $0.feature.updatedAt as Instant },
        .instant("archived_at") { $0.feature.archivedAt },
    ]

    static let insertFeatures = BulkStatement.insert(
        into: FeatureRow.table,
        columns + [
            .text("type") { $0.feature.type.rawValue as String },
            .instant("created_at") { $0.feature.createdAt as Instant },
        ])

    static let updateFeatures = BulkStatement.update(
        FeatureRow.table, key: ["environment_id", "feature_key"], columns)
}
