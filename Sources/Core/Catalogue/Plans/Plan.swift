package import Credits

/// A plan of an environment's catalogue: what a tenant sells under one name. Its variants say how (monthly, yearly, for a
/// region), and only they can be subscribed to.
package struct Plan: Hashable, Sendable {
    package let id: PublicID
    /// The tenant's own key, unique among the plans of the environment; nil if it gave none. It never changes.
    package let key: PlanKey?
    package var name: String
    /// The slot of the plan's subscriptions. It cannot change while the plan has live subscriptions.
    package var slot: PlanSlot
    package var metadata: Metadata?
    package let createdAt: Instant
    package var updatedAt: Instant
    /// When the plan was archived. Nobody can be subscribed to an archived plan; its subscriptions go on.
    package var archivedAt: Instant?

    package init(
        id: PublicID, key: PlanKey? = nil, name: String, slot: PlanSlot = .base, metadata: Metadata? = nil,
        createdAt: Instant = .epoch, updatedAt: Instant? = nil, archivedAt: Instant? = nil
    ) {
        self.id = id
        self.key = key
        self.name = name
        self.slot = slot
        self.metadata = metadata
        self.createdAt = createdAt
        self.updatedAt = updatedAt ?? createdAt
        self.archivedAt = archivedAt
    }

    package var isArchived: Bool { archivedAt != nil }

    /// Whether the plan was archived by an instant, as far as it is known: one that was restored since counts as open.
    package func isArchived(at instant: Instant) -> Bool { archivedAt.map { $0 <= instant } ?? false }
}

/// The name of a place for one live subscription of an end user. Add-ons are plans in slots of their own.
package struct PlanSlot: Hashable, Sendable {
    package let rawValue: String

    package init?(_ rawValue: String) {
        guard rawValue.isPlanName else { return nil }
        self.rawValue = rawValue
    }

    private init(unchecked rawValue: String) { self.rawValue = rawValue }

    /// The slot of plans that state none. It comes before all others.
    package static let base = PlanSlot(unchecked: "base")
}

extension PlanSlot: Comparable {
    /// `base` first, then by name.
    package static func < (left: PlanSlot, right: PlanSlot) -> Bool {
        if (left == .base) != (right == .base) { return left == .base }
        return left.rawValue < right.rawValue
    }
}

/// A plan's key, which is accepted wherever its id is.
package struct PlanKey: Hashable, Sendable {
    package let rawValue: String

    package init?(_ rawValue: String) {
        guard rawValue.isPlanKey else { return nil }
        self.rawValue = rawValue
    }
}

/// A plan variant's key, which is accepted wherever its id is. Keys of plans and of variants are apart.
package struct VariantKey: Hashable, Sendable {
    package let rawValue: String

    package init?(_ rawValue: String) {
        guard rawValue.isPlanKey else { return nil }
        self.rawValue = rawValue
    }
}

extension String {
    /// The valid keys and slots, in the form that completes "must be …".
    package static let planNameExpectation = """
        1 to 64 lower-case letters, digits, _, . or -, of which the first is a letter or a digit, and not like an id
        """

    /// Whether the text is a valid key of a plan or a variant. A key that begins like an id could be taken for one.
    fileprivate var isPlanKey: Bool {
        isPlanName && !hasPrefix("\(PublicIDKind.plan.rawValue)_")
            && !hasPrefix("\(PublicIDKind.planVariant.rawValue)_")
    }

    /// Whether the text is a valid key or slot of a plan: `[a-z0-9][a-z0-9_.-]{0,63}`.
    fileprivate var isPlanName: Bool {
        func isWord(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: false
            }
        }
        guard let first = utf8.first, isWord(first), utf8.count <= 64 else { return false }
        return utf8.allSatisfy { byte in
            isWord(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
        }
    }
}
