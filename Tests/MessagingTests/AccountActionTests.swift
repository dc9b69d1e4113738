import Catalogue
import Commands
import Credits
import Ledger
import Messaging
import Metering
import Testing

@Suite("Commands to accounts")
struct AccountActionTests {
    @Test("every action is decoded as it was encoded")
    func roundTrip() throws {
        for action in try Samples.allActions {
            #expect(try Self.decoded(Self.encoded(action)) == action)
        }
    }

    @Test("an action that is cut at any place is refused")
    func truncation() throws {
        for action in try Samples.allActions {
            let bytes = try Self.encoded(action)
            // The environment is behind the action, and a message of an older release has none.
            let end = bytes.count - environmentSize
            for length in bytes.indices where length != end && (try? Self.decoded(Array(bytes[..<length]))) != nil {
                Issue.record("\(action), cut at \(length), was read")
            }
        }
    }

    @Test("an action with any one byte changed is read or refused, and an action that is read can be written again")
    func changedBytes() throws {
        var read = 0
        for action in try Samples.allActions {
            let bytes = try Self.encoded(action)
            for index in bytes.indices {
                for mask: UInt8 in [0x01, 0x40, 0x80, 0xFF] {
                    var changed = bytes
                    changed[index] ^= mask
                    guard let other = try? Self.decoded(changed) else { continue }
                    read += 1
                    if try Self.decoded(Self.encoded(other)) != other { Issue.record("byte \(index) of \(action)") }
                }
            }
        }
        #expect(read > 0)
    }

    @Test("values that the API refuses are refused in a message too")
    func impossible() throws {
        let key = try #require(FeatureKey("calls"))
        let bob = try #require(EndUserID("bob"))
        let minus = try Millicredits(Int64(-1))
        let impossible: [AccountAction] = [
            .use(UsageEvent(featureKey: key, units: -1)),
            .use(UsageEvent(featureKey: key, measure: .quantities(["input": 1, "output": -1]))),
            .grant(Grant(credits: .zero)), .grant(Grant(credits: minus)), .grant(Grant(credits: .max, priority: 101)),
            .grant(Grant(credits: .max, payment: Payment(price: -1))),
            .topUp(TopUp(credits: .amount(.zero))), .topUp(TopUp(credits: .amount(.max), priority: -1)),
            .topUp(TopUp(credits: .amount(.max), payment: Payment(price: Millicredits.limit + 1))),
            .topUp(TopUp(credits: .amount(.max), payment: Payment(externalID: ""))),
            .refund(Refund(account: AccountID(1), charge: 1, extent: .units(0))),
            .refund(Refund(account: AccountID(1), charge: 1, extent: .credits(.zero))),
            .adjust(Adjustment(amount: .zero)),
            .transfer(Transfer(receiver: bob, credits: .zero)),
            .transfer(Transfer(receiver: try Samples.alice, credits: .max)),
            .reserve(ReservationRequest(featureKey: key, estimate: .credits(minus))),
            .reserve(ReservationRequest(featureKey: key, estimate: .credits(.max), ttlSeconds: 0)),
            .reserve(ReservationRequest(featureKey: key, estimate: .credits(.max), ttlSeconds: 604_801)),
            .reservation(1, .extend(ttlSeconds: 0)),
            .reservation(1, .progress(.measured(.units(-1), .none))),
            .createSpendCap(NewSpendCap(credits: minus, window: .day)),
            .updateEndUser(EndUserChange(overageLimit: .set(minus))),
        ]
        for action in impossible {
            #expect(throws: CodingError.self, "\(action)") { try Self.decoded(Self.encoded(action)) }
        }
    }

    @Test("every action of a client is in the audit log under its own name and area; an advance is not")
    func auditActions() throws {
        let names = try Samples.allActions.compactMap { AuditAction($0) }
        let catalogue: Set<AuditAction> = [
            .createFeature, .updateFeature, .createRule, .createPackage, .updatePackage, .createPlan, .updatePlan,
            .createVariant, .updateVariant, .migrateVariant, .createKey, .rollKey,
            .revokeKey, .updateConfig, .createTestClock, .advanceTestClock, .createTenant,
            .updateTenantLimits, .createWebhookEndpoint, .updateWebhookEndpoint, .deleteWebhookEndpoint,
            .rotateWebhookSecret, .testWebhookEndpoint, .replayWebhookEvents, .retryWebhookDelivery,
        ]
        #expect(Set(names) == Set(AuditAction.all).subtracting(catalogue))
        #expect(AuditAction(.advance) == nil)
        #expect(AuditAction.progressReservation.area == .reservations)
        #expect(AuditAction.createTopUp.area == .credits)
        #expect(AuditAction.createSpendCap.area == .entitlements)
    }

    /// The bytes of a message's environment: a tag and a number below 128.
    private let environmentSize = 2

    private static func encoded(_ action: AccountAction) throws -> [UInt8] {
        let command = AccountCommand(
            identity: CommandIdentity(id: Bits128(high: 1, low: 2), idempotencyKey: nil), endUserID: try Samples.alice,
            action: action)
        return CommandMessage(
            sentAt: Instant(microseconds: 7), environmentID: EnvironmentID(3),
            requests: [
                EncodedRequest(
                    CommandRequest(
                        token: 1,
                        origin: RequestOrigin(
                            environmentID: EnvironmentID(3), actor: Actor(keyID: nil, address: nil), requestID: "r"),
                        wantsBodies: true, commands: .account([command])))
            ]
        ).encoded()
    }

    /// The only action of a message.
    private static func decoded(_ bytes: [UInt8]) throws -> AccountAction {
        let message = try ReceivedMessage(decoding: bytes)
        guard message.frames.count == 1, case .request(let request) = message.frames[0],
            case .account(let commands) = request.commands, commands.count == 1
        else { throw CodingError.truncated }
        return commands[0].action
    }
}
