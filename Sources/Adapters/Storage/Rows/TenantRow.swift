import Catalogue
import Postgres

/// A row of `tenants`.
struct TenantRow: TableRow {
    let tenant: Tenant

    static let table = "tenants"
    static let columns = ["tenant_id", "name", "created_at"]

    init(_ fields: inout RowFields, keeping old: TenantRow?) throws {
        tenant = Tenant(id: try fields.bits(), name: try fields.text(), createdAt: try fields.instant())
    }
}
