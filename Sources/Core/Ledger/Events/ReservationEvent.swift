package import Catalogue
package import Credits
import JSON

/// The data of an event of a reservation: its state then.
package struct ReservationEvent: Hashable, Sendable {
    package let number: Int32
    package let featureKeys: [FeatureKey]
    package let status: ReservationStatus
    /// The credits that are held, in millicredits.
    package let held: Int64
    /// The part of the estimate that no credits covered, in millicredits.
    package let uncovered: Int64
    /// The amount charged in total, in millicredits.
    package let charged: Int64
    /// The part of the hold that went back at the end, in millicredits; 0 for a new reservation.
    package let returned: Int64
    package let expiresAt: Instant
    /// The account's balances, in millicredits.
    package let balance: Int64
    package let reserved: Int64

    package var type: EventType {
        switch status {
        case .active: .reservationCreated
        case .committed: .reservationCommitted
        case .released: .reservationReleased
        case .expired: .reservationExpired
        }
    }

    func data(of account: AccountID) -> JSONValue {
        .object([
            "reservation_id": .string(PublicID(.reservation, account: account, number: Int64(number)).description),
            "feature_keys": .array(featureKeys.map { .string($0.rawValue) }), "status": .string(status.rawValue),
            "held": .integer(held), "uncovered": .integer(uncovered), "charged": .integer(charged),
            "returned": .integer(returned), "expires_at": .string(expiresAt.description),
            "balance": .integer(balance), "reserved_balance": .integer(reserved),
        ])
    }
}

extension Account {
    /// Records that a reservation was made or has ended.
    ///
    /// - Parameters:
    ///   - reservation: Its present state.
    ///   - returned: The part of the hold that went back, in millicredits.
    func tell(
        _ reservation: Reservation, returned: Int64 = 0, at instant: Instant, now: Instant,
        into recorder: inout some EffectRecorder
    ) {
        guard recorder.recorded.intersects(.ofReservations) else { return }
        recorder.happened(
            .reservation(
                ReservationEvent(
                    number: reservation.number, featureKeys: reservation.featureKeys, status: reservation.status,
                    held: reservation.held, uncovered: reservation.uncovered.rawValue,
                    charged: reservation.charged.rawValue, returned: returned, expiresAt: reservation.expiresAt,
                    balance: balance.rawValue, reserved: reserved.rawValue)),
            at: instant, now: now)
    }
}

extension EventTypes {
    fileprivate static let ofReservations = EventTypes([
        .reservationCreated, .reservationCommitted, .reservationReleased, .reservationExpired,
    ])
}
