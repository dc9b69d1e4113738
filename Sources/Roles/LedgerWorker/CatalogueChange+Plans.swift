import Answers
import Catalogue
import Commands
import Credits
import JSON
import Metering
import Storage

extension CatalogueChange {
    // MARK: - Plans

    func createPlan(_ new: NewPlan, now: Instant) async throws -> Answer {
        if let key = new.key, try await PlanStore.find(.key(key), environmentID: environmentID, on: connection) != nil {
            return refused(.taken("a plan", key.rawValue))
        }
        guard try await hasRoom(in: PlanRow.table) else { return refused(.tooMany("plans")) }
        let plan = Plan(
            id: PublicID(.plan, newID(at: now, 0)), key: new.key, name: new.name, slot: new.slot,
            metadata: new.metadata, createdAt: now)
        try await PlanStore.insert(plan, environmentID: environmentID, on: connection)
        return Answer(201) { $0.plan(plan) }
    }

    func updatePlan(_ name: PlanName, _ change: PlanChange, now: Instant) async throws -> Answer {
        guard let plan = try await PlanStore.find(name, environmentID: environmentID, on: connection) else {
            return refused(.unknownPlan(name))
        }
        if let slot = change.slot, slot != plan.slot, try await mayHaveLiveSubscriptions(plan) {
            return refused(
                Problem(
                    .conflict, "The slot of a plan that has variants cannot change. Create another plan.",
                    errors: [Problem.FieldError(pointer: "/slot", detail: "cannot change")]))
        }
        let changed = plan.applying(change, at: now)
        try await PlanStore.update(changed, environmentID: environmentID, on: connection)
        return Answer(200) { $0.plan(changed) }
    }

    /// Whether a plan may have live subscriptions, which keep its slot. The subscriptions themselves are not asked yet, so
    /// every plan that has a variant may have some.
    private func mayHaveLiveSubscriptions(_ plan: Plan) async throws -> Bool {
        try await VariantStore.exist(ofPlan: plan.id, environmentID: environmentID, on: connection)
    }

    // MARK: - Variants

    func createVariant(_ planName: PlanName, _ new: NewVariant, now: Instant) async throws -> Answer {
        guard let plan = try await PlanStore.find(planName, environmentID: environmentID, on: connection) else {
            return refused(.unknownPlan(planName))
        }
        if let key = new.key, try await variant(.key(key)) != nil {
            return refused(.taken("a plan variant", key.rawValue))
        }
        var variant = PlanVariant(
            id: PublicID(.planVariant, newID(at: now, 0)), planID: plan.id, key: new.key, name: new.name,
            terms: new.terms, createdAt: now)
        do {
            variant.terms.fallbackVariantID = try await fallback(new.fallback, of: variant, in: plan)
            try await check(variant, replacing: nil)
        } catch let problem as Problem {
            return refused(problem)
        }
        try await VariantStore.insert(variant, environmentID: environmentID, on: connection)
        return Answer(201) { $0.planVariant(variant) }
    }

    /// Makes the next version of a variant. A change that changes nothing makes none.
    func updateVariant(_ name: VariantName, _ change: VariantChange, now: Instant) async throws -> Answer {
        guard let old = try await variant(name),
            let plan = try await PlanStore.find(.id(old.planID), environmentID: environmentID, on: connection)
        else { return refused(.unknownVariant(name)) }
        var fallbackID = old.terms.fallbackVariantID
        var changed: PlanVariant
        do {
            if case .set(let fallback) = change.fallback {
                fallbackID = try await self.fallback(fallback, of: old, in: plan)
            }
            changed = try old.applying(change, fallbackID: fallbackID, at: now)
            let isChanged =
                changed.name != old.name || changed.terms != old.terms || changed.archivedAt != old.archivedAt
            guard isChanged else { return Answer(200) { $0.planVariant(old) } }
            try await check(changed, replacing: old)
        } catch let problems as JSONProblems {
            return refused(Problem(problems))
        } catch let problem as Problem {
            return refused(problem)
        }
        try await VariantStore.insert(changed, environmentID: environmentID, on: connection)
        return Answer(200) { $0.planVariant(changed) }
    }

    /// Makes a job that moves the live subscriptions of a variant, also of an archived one.
    func migrateVariant(_ name: VariantName, _ new: NewVariantMigration, now: Instant) async throws -> Answer {
        guard let variant = try await variant(name),
            let plan = try await PlanStore.find(.id(variant.planID), environmentID: environmentID, on: connection)
        else { return refused(.unknownVariant(name)) }
        let (target, targetPlan): (PlanVariant, Plan)
        do {
            (target, targetPlan) = try await openVariant(new.target ?? .id(variant.id), at: "/to")
        } catch let problem as Problem {
            return refused(problem)
        }
        guard targetPlan.slot == plan.slot else { return refused(.otherSlot(targetPlan.slot, than: plan.slot)) }
        let running = try await VariantMigrationStore.running(
            of: variant.id, environmentID: environmentID, on: connection)
        if let running { return refused(.migrationRuns(running.id)) }
        let migration = try await VariantMigrationStore.insert(
            VariantMigration(
                id: PublicID(.variantMigration, newID(at: now, 0)), variantID: variant.id, target: target.reference,
                timing: new.timing, proration: new.proration, createdAt: now),
            environmentID: environmentID, on: connection)
        return Answer(201) { $0.variantMigration(migration) }
    }

    /// The latest version of a variant.
    func variant(_ name: VariantName) async throws -> PlanVariant? {
        try await VariantStore.find(name, environmentID: environmentID, on: connection)
    }

    /// A variant to which end users may be moved, and its plan.
    ///
    /// - Parameter pointer: The field of the body that names the variant.
    /// - Throws: `Problem` for one that is unknown or archived, or whose plan is archived.
    func openVariant(_ name: VariantName, at pointer: String) async throws -> (variant: PlanVariant, plan: Plan) {
        guard let variant = try await variant(name), !variant.isArchived,
            let plan = try await PlanStore.find(.id(variant.planID), environmentID: environmentID, on: connection),
            !plan.isArchived
        else { throw Problem.unknownVariant(name, at: pointer) }
        return (variant, plan)
    }

    /// Looks up the fallback of a variant. The chain of fallbacks must end: an end user whose subscriptions all end would
    /// otherwise go round in it.
    ///
    /// - Parameter plan: The plan of the variant.
    /// - Throws: `Problem` for a fallback that the variant cannot have.
    private func fallback(
        _ name: VariantName?, of variant: PlanVariant, in plan: Plan
    ) async throws -> PublicID? {
        guard let name else { return nil }
        let pointer = "/fallback_variant_id"
        let (fallback, fallbackPlan) = try await openVariant(name, at: pointer)
        guard fallbackPlan.slot == plan.slot else {
            throw Problem(
                .conflict,
                "The fallback is of the slot \(fallbackPlan.slot.rawValue), the variant of \(plan.slot.rawValue). An end user falls back within a slot.",
                errors: [Problem.FieldError(pointer: pointer, detail: "must be of the same slot")])
        }
        var next: PlanVariant? = fallback
        for _ in 0..<CatalogueLimits.fallbacks {
            guard let current = next else { return fallback.id }
            guard current.id != variant.id else {
                throw Problem(at: pointer, "must not lead back to the variant itself")
            }
            guard let following = current.terms.fallbackVariantID else { return fallback.id }
            next = try await self.variant(.id(following))
        }
        throw Problem(at: pointer, "must not begin a chain of more than \(CatalogueLimits.fallbacks) fallbacks")
    }

    /// Looks up the default variant of an environment, which is of the slot `base`.
    ///
    /// - Throws: `Problem` for a variant that cannot be the default.
    func defaultVariant(_ name: VariantName?) async throws -> PublicID? {
        guard let name else { return nil }
        let pointer = "/default_plan_variant_id"
        let (variant, plan) = try await openVariant(name, at: pointer)
        guard plan.slot == .base else {
            throw Problem(
                .conflict, "The default variant must be of the slot base, not of \(plan.slot.rawValue).",
                errors: [Problem.FieldError(pointer: pointer, detail: "must be of the slot base")])
        }
        return variant.id
    }

    /// Looks up the variant to which end users fall back whose variants name no fallback.
    ///
    /// - Throws: `Problem` for a variant that cannot be the fallback.
    func fallbackVariant(_ name: VariantName?) async throws -> PublicID? {
        guard let name else { return nil }
        return try await openVariant(name, at: "/fallback_variant_id").variant.id
    }

    /// Checks a new version against the features and the size of the catalogue.
    ///
    /// - Parameter old: The version that it replaces. Features that it names may be archived by now.
    /// - Throws: `Problem` for a version that the catalogue cannot have.
    private func check(_ variant: PlanVariant, replacing old: PlanVariant?) async throws {
        let terms = variant.terms
        let named = terms.namedFeatures
        let known = try await FeatureStore.find(named, environmentID: environmentID, on: connection)
        for key in named.subtracting(old?.terms.namedFeatures ?? []).sorted() {
            guard let feature = known[key], !feature.isArchived else { throw Problem.unknownFeature(key) }
        }
        for (key, grant) in terms.features.sorted(by: { $0.key < $1.key }) {
            guard let feature = known[key], grant.fits(feature.type) else {
                throw Problem.wrongGrant(of: key, at: "/features")
            }
        }
        let size = terms.canonicalJSON.utf8.count
        guard size <= VariantTerms.maximumBytes else {
            throw Problem(
                at: "", "is too large",
                "The terms of a variant can have at most \(VariantTerms.maximumBytes) bytes of JSON with all defaults. Use fewer features, limits or grants."
            )
        }
        guard try await hasRoom(in: VariantRow.table) else { throw Problem.tooMany("versions of plan variants") }
        let bytes = try await VariantStore.bytes(environmentID: environmentID, on: connection)
        guard bytes + Int64(size) <= Int64(CatalogueLimits.variantBytes) else {
            throw Problem(
                .conflict,
                "All versions of all plan variants of an environment together can have at most \(CatalogueLimits.variantBytes >> 20) MiB."
            )
        }
    }
}
