package import Credits
package import JSON

/// A plan to be created.
package struct NewPlan: Hashable, Sendable {
    package var key: PlanKey?
    package var name: String
    package var slot: PlanSlot
    package var metadata: Metadata?

    package init(key: PlanKey? = nil, name: String, slot: PlanSlot = .base, metadata: Metadata? = nil) {
        self.key = key
        self.name = name
        self.slot = slot
        self.metadata = metadata
    }
}

/// A change of a plan; nil keeps a field.
package struct PlanChange: Hashable, Sendable {
    package var name: String?
    package var slot: PlanSlot?
    package var metadata: FieldChange<Metadata>
    package var isArchived: Bool?

    package init(
        name: String? = nil, slot: PlanSlot? = nil, metadata: FieldChange<Metadata> = .keep, isArchived: Bool? = nil
    ) {
        self.name = name
        self.slot = slot
        self.metadata = metadata
        self.isArchived = isArchived
    }
}

extension Plan {
    /// The plan after a change at an instant.
    package func applying(_ change: PlanChange, at now: Instant) -> Plan {
        var changed = self
        changed.name = change.name ?? name
        changed.slot = change.slot ?? slot
        changed.metadata = change.metadata.applied(to: metadata)
        changed.archivedAt = change.isArchived.applied(to: archivedAt, at: now)
        changed.updatedAt = now
        return changed
    }
}

/// A variant to be created.
package struct NewVariant: Hashable, Sendable {
    package var key: VariantKey?
    package var name: String
    /// Without the fallback.
    package var terms: VariantTerms
    /// The fallback as the request names it. The ledger worker looks it up.
    package var fallback: VariantName?

    package init(key: VariantKey? = nil, name: String, terms: VariantTerms, fallback: VariantName? = nil) {
        self.key = key
        self.name = name
        self.terms = terms
        self.fallback = fallback
    }
}

/// A change of a variant, which makes a new version; nil keeps a field.
package struct VariantChange: Hashable, Sendable {
    package var name: String?
    package var terms: VariantTermsChange
    package var fallback: FieldChange<VariantName>
    package var isArchived: Bool?

    package init(
        name: String? = nil, terms: VariantTermsChange = .none, fallback: FieldChange<VariantName> = .keep,
        isArchived: Bool? = nil
    ) {
        self.name = name
        self.terms = terms
        self.fallback = fallback
        self.isArchived = isArchived
    }
}

extension PlanVariant {
    /// The next version: this one after a change at an instant. A new name and archiving make a version too, so that a
    /// version never changes.
    ///
    /// - Parameter fallbackID: The fallback after the change.
    /// - Throws: `JSONProblems` when the changed terms do not fit those that are kept.
    package func applying(_ change: VariantChange, fallbackID: PublicID?, at now: Instant) throws -> PlanVariant {
        var terms = try change.terms.applied(to: terms)
        terms.fallbackVariantID = fallbackID
        return PlanVariant(
            id: id, planID: planID, key: key, version: version + 1, name: change.name ?? name, terms: terms,
            createdAt: createdAt, updatedAt: now, archivedAt: change.isArchived.applied(to: archivedAt, at: now))
    }
}

/// The changed members of a variant's terms, except the fallback.
package struct VariantTermsChange: Hashable, Sendable {
    /// An object of the changed members. Null stands for a member's default.
    package let canonicalJSON: String

    package static let none = VariantTermsChange(unchecked: "{}")

    fileprivate init(unchecked text: String) { canonicalJSON = text }

    /// - Parameter canonicalJSON: Must be canonical.
    /// - Throws: `JSONError` if the text is not JSON, `JSONProblems` that name each wrong member otherwise.
    package init(canonicalJSON: String) throws {
        self.init(unchecked: canonicalJSON)
        _ = try applied(to: .defaults)
    }

    /// The terms after the change.
    ///
    /// - Throws: `JSONProblems` when the changed terms do not fit those that are kept.
    package func applied(to terms: VariantTerms) throws -> VariantTerms {
        try JSONReader.read(try JSONParser.parse(Array(canonicalJSON.utf8))) { $0.variantTerms(changing: terms) }
    }
}

extension JSONReader {
    /// Reads the members of terms that a body has, except the fallback.
    package mutating func variantTermsChange() -> VariantTermsChange? {
        guard variantTerms(changing: .defaults) != nil else { return nil }
        let names = VariantTerms.defaults.json.members.map(\.key).filter { $0 != "fallback_variant_id" }
        let members = names.filter { presence(of: $0) != .absent }.map { (key: $0, value: value($0) ?? .null) }
        let text = JSONValue.object(JSONObject(members: members)).canonicalBytes
        return VariantTermsChange(unchecked: String(decoding: text, as: UTF8.self))
    }
}
