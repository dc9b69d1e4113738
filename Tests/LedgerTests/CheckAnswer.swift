import Catalogue
import Credits
import Ledger
import LedgerModel
import Metering

/// The answers of a check and of a debit in the same words, so that they can be compared.
enum CheckAnswer {
    /// The check that corresponds to a command; nil when there is none, because a check is about now and about one
    /// metered feature.
    static func asked(by command: ModelCommand, _ catalogue: Catalogue) throws -> EntitlementRequest? {
        let use: ModelCommand.Use
        var isReservation = false
        switch command {
        case .use(let event) where event.occurredAt == nil: use = event
        case .reserve(let estimate, _) where estimate.others.isEmpty: (use, isReservation) = (estimate, true)
        default: return nil
        }
        var request = try request(use)
        request.isReservation = isReservation
        guard catalogue.features[request.feature].map({ $0.type == .metered }) ?? true else { return nil }
        return request
    }

    static func request(_ use: ModelCommand.Use) throws -> EntitlementRequest {
        EntitlementRequest(
            feature: try Translation.feature(use.feature),
            demand: try Translation.demand(use.demand, use.attributes))
    }

    /// - Parameters:
    ///   - account: The account in any past state. It is advanced to the clock first.
    ///   - isNew: Whether the end user does not exist yet, and may start on a default plan.
    static func words(
        _ request: EntitlementRequest, of account: Account, _ catalogue: Catalogue, clock: Instant, isNew: Bool
    ) -> String {
        let now = account.currentInstant(clock: clock, catalogue: catalogue)
        do throws(EntitlementFailure) {
            let entitlement = try Entitlement.decide(
                account: account.advanced(to: now, in: catalogue).subscribed(at: now, isNew: isNew, catalogue),
                catalogue: catalogue, request: request,
                now: now)
            var denial = entitlement.denial?.rawValue
            if let limit = entitlement.denyingLimit, case .limit = limit.applied.face {
                denial = "\(denial ?? "") \(limit.applied.key.rawValue)"
            }
            return denial ?? "allowed for \(entitlement.cost?.rawValue ?? 0)"
        } catch {
            return words(error)
        }
    }

    static func words(_ failure: EntitlementFailure) -> String {
        switch failure {
        case .outOfRange: "amount_out_of_range"
        case .wrongMeasure(let measure): Refusal.wrongMeasure(measure).plain.code
        }
    }

    static func words(_ outcome: Outcome) -> String {
        switch outcome {
        case .used(let entry, _): "allowed for \(-entry.amount)"
        case .reserved(let reservation, _): "allowed for \(reservation.estimatedCost.rawValue)"
        case .refused(let refusal): refusal.plain.code
        default: "\(outcome)"
        }
    }
}
