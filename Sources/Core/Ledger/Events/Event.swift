package import Catalogue
package import Credits
import JSON

/// An event of an account: one thing that the tenant is told.
///
/// The core records an event in the transaction of the change that it tells. Events are numbered inside their account
/// without gaps, so that a consumer notices a missing one: the event before this one has `sequence − 1`.
package struct Event: Hashable, Sendable {
    /// 1, 2, 3, … inside the account.
    package let sequence: Int64
    package let content: EventContent
    /// The instant at which the event was due, however late it was recorded.
    package let at: Instant
    package let recordedAt: Instant

    package init(sequence: Int64, content: EventContent, at: Instant, recordedAt: Instant) {
        self.sequence = sequence
        self.content = content
        self.at = at
        self.recordedAt = recordedAt
    }
}

/// The data of an event. `EVENTS.md` describes it for every type.
package enum EventContent: Hashable, Sendable {
    case entry(EntryEvent)
    case expiringSoon(ExpiryNotice)
    case balance(BalanceEvent)
    case reservation(ReservationEvent)
    case limit(LimitEvent)
    /// - Parameters:
    ///   - request: The number of the request.
    ///   - effectiveBalance: In millicredits.
    case topUpRequested(
        request: Int32, threshold: Millicredits, effectiveBalance: Int64, amount: TopUp.Credits)
    /// - Parameters:
    ///   - reason: Nil if the tenant gave none.
    ///   - failures: The number of consecutive failures, this one included.
    case topUpFailed(request: Int32, reason: String?, failures: Int32)
    /// - Parameter request: The request whose failure was the last one.
    case topUpSuspended(request: Int32, failures: Int32)
    /// - Parameter type: One of the types of subscriptions and contracts.
    case subscription(_ type: EventType, SubscriptionEvent)
    /// The end user's opaque id.
    case endUserErased(EndUserID)

    package var type: EventType {
        switch self {
        case .entry(let event): event.type
        case .expiringSoon: .creditsExpiringSoon
        case .balance(let event): event.type
        case .reservation(let event): event.type
        case .limit(let event): event.type
        case .topUpRequested: .topUpRequested
        case .topUpFailed: .topUpFailed
        case .topUpSuspended: .topUpSuspended
        case .subscription(let type, _): type
        case .endUserErased: .endUserErased
        }
    }

    /// The member `data` of the event as canonical JSON.
    ///
    /// - Parameter account: The account of the event; it is part of the public ids.
    package func storedJSON(of account: AccountID) -> String {
        String(decoding: data(of: account).canonicalBytes, as: UTF8.self)
    }

    /// Stored data without the text that can name a person: the reason that a tenant has given, and the value of the
    /// attribute by which a limit counts.
    package static func erased(storedJSON text: String) throws(StoredJSONError) -> String {
        var object = try StoredObject(parsing: text).object
        for name in ["reason", "per_value"] {
            if let index = object.index(of: name) { object.members[index].value = .null }
        }
        return String(decoding: JSONValue.object(object).canonicalBytes, as: UTF8.self)
    }

    private func data(of account: AccountID) -> JSONValue {
        func id(_ request: Int32) -> JSONValue {
            .string(PublicID(.topUpRequest, account: account, number: Int64(request)).description)
        }
        switch self {
        case .entry(let event): return event.data(of: account)
        case .expiringSoon(let notice): return notice.data(of: account)
        case .balance(let event): return event.data
        case .reservation(let event): return event.data(of: account)
        case .limit(let event): return event.data
        case .topUpRequested(let request, let threshold, let effectiveBalance, let amount):
            return .object(
                JSONObject(
                    members: [
                        ("request_id", id(request)), ("threshold", .integer(threshold.rawValue)),
                        ("effective_balance", .integer(effectiveBalance)), amount.member,
                    ]))
        case .topUpFailed(let request, let reason, let failures):
            return .object([
                "request_id": id(request), "reason": reason.map { JSONValue.string($0) } ?? .null,
                "failures": .integer(Int64(failures)),
            ])
        case .topUpSuspended(let request, let failures):
            return .object(["request_id": id(request), "failures": .integer(Int64(failures))])
        case .subscription(_, let event): return event.data(of: account)
        case .endUserErased(let endUser): return .object(["end_user_id": .string(endUser.rawValue)])
        }
    }
}
