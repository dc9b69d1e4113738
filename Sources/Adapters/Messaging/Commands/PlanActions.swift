import Catalogue
import Commands
import Credits
import Ledger
import Metering

// The plans and variants of catalogue actions. The numbers of fields are permanent, as in AccountActions.swift.

extension FieldReader {
    mutating func name<Key: NamedByKey>(_ number: Int) throws(CodingError) -> CatalogueName<Key> {
        try parsed(number, "id or key") { CatalogueName($0) }
    }

    mutating func optionalName<Key: NamedByKey>(_ number: Int) throws(CodingError) -> CatalogueName<Key>? {
        try optional(number, "id or key") { CatalogueName($0) }
    }

    mutating func nameChange<Key: NamedByKey>(
        _ number: Int
    ) throws(CodingError) -> FieldChange<CatalogueName<Key>> {
        try change(number) { (reader) throws(CodingError) in try reader.optionalName(1) }
    }
}

extension NewPlan: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, key?.rawValue)
        writer.write(2, name)
        writer.write(3, slot.rawValue)
        writer.write(4, metadata)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            key: try reader.optional(1, "key") { PlanKey($0) }, name: try reader.string(2, "name"),
            slot: try reader.parsed(3, "slot") { PlanSlot($0) }, metadata: try reader.metadata(4))
    }
}

extension PlanChange: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, name)
        writer.write(2, slot?.rawValue)
        writer.write(3, metadata) { $0.write($1, $2 as Metadata?) }
        writer.write(4, isArchived)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            name: try reader.optionalString(1, "name"), slot: try reader.optional(2, "slot") { PlanSlot($0) },
            metadata: try reader.change(3) { (reader) throws(CodingError) in try reader.metadata(1) },
            isArchived: try reader.optionalBool(4, "flag"))
    }
}

extension NewVariant: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, key?.rawValue)
        writer.write(2, name)
        if terms.limits.values.contains(where: { !$0.limit.warnAt.isEmpty }) { writer.demand(revision: 6) }
        writer.write(3, terms.canonicalJSON)
        writer.write(4, fallback?.text)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            key: try reader.optional(1, "key") { VariantKey($0) }, name: try reader.string(2, "name"),
            terms: try reader.parsed(3, "terms") { text in try? VariantTerms(json: text) },
            fallback: try reader.optionalName(4))
    }
}

extension VariantChange: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, name)
        if let changed = try? terms.applied(to: .defaults),
            changed.limits.values.contains(where: { !$0.limit.warnAt.isEmpty })
        {
            writer.demand(revision: 6)
        }
        writer.write(2, terms == .none ? nil : terms.canonicalJSON)
        writer.write(3, fallback) { $0.write($1, $2.text) }
        writer.write(4, isArchived)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            name: try reader.optionalString(1, "name"),
            terms: try reader.optional(2, "terms") { text in try? VariantTermsChange(canonicalJSON: text) } ?? .none,
            fallback: try reader.nameChange(3), isArchived: try reader.optionalBool(4, "flag"))
    }
}

extension NewVariantMigration: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, target?.text)
        writer.write(2, timing.rawValue)
        writer.write(3, proration.rawValue)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            target: try reader.optionalName(1),
            timing: try reader.parsed(2, "time") { SubscriptionChange.Timing(rawValue: $0) },
            proration: try reader.parsed(3, "proration") { SubscriptionChange.Proration(rawValue: $0) })
    }
}
