import Catalogue
import Credits
import Ledger
import Metering
import Testing

@Suite("Entries are chained by SHA-256 over their canonical JSON")
struct EntryHashTests {
    /// The hashes were computed with Python from the documented form alone:
    ///
    ///     personal = dumps({name: entry.pop(name) for name in PERSONAL if name in entry})
    ///     entry["personal_digest"] = hashlib.sha256(bytes(32) + personal.encode()).hexdigest()
    ///     entry["version"] = 2
    ///     previous = hashlib.sha256(previous + dumps(entry).encode()).digest()
    ///
    /// where `dumps` is `json.dumps(…, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`.
    private static let goldenHashes = [
        "5e637dc7c6fd269998e2997984f218c58eace52850226f3bbc0157da83eec3a0",
        "e6a1230566d4f5044ca9b129f5e011e58619fe2d50f60c3d423416b8ae0d8e2d",
        "c6db6e35416cad7469ae357b56f329679374e29092b421fb39b7f9d6361953e9",
        "9fb534803c85abffccf4cb2c295bf05bd75a071336e4bc75fdc4339068cc6c75",
        "06bdbd56f6c4cc4ac0d0207af87c9d699b44239ca93f83540d0a481889084fed",
    ]

    /// The hashes of the same entries in the form of version 1, computed in the same way:
    ///
    ///     previous = hashlib.sha256(previous + dumps(entry).encode()).digest()
    private static let goldenHashesOfVersion1 = [
        "f88632dec24f397fabb2aaa46d1b26ef0794c3d0cf8835154b9fa318b2abe14e",
        "6a3e14a65db4323204a5d2d0341fae02f2e72095be5822d919a5b7010ca8c975",
        "3c9881ff1f0f193c9c2a8d18d95b7a127c836ceddec71f5297a5d3fa74593855",
        "64daa7eab59728ef38531cc43d1bf0481d426992c76b3f0a6f4f6d33c92bf0b5",
        "831a4e5595144cb2fde31082b6b5df6716cbd12ed4c52ca417561a8229ebccae",
    ]

    private static let goldenTexts = [
        #"{"allocation":[{"amount":1000,"block_id":"blk_0000000000003g000000000001"}],"amount":1000,"#
            + #""balance_after":1000,"effective_at":"2026-04-12T08:30:15.250Z","end_user_id":"zoé \"q\"\\/\n\u0001"#
            + "\u{7F}"
            + #"😀","id":"ent_0000000000003g000000000001","idempotency_key":"k-1ü","metadata":{"a":true,"n":-5,"#
            + #""ü":"ß"},"overage_delta":0,"reason":"wel\tcome","recorded_at":"2026-04-12T08:30:15.250Z","#
            + #""reserved_after":0,"reserved_delta":0,"sequence":1,"type":"grant""#,
        #"{"allocation":[{"amount":-500,"block_id":"blk_0000000000003g000000000002"},{"amount":-101,"#
            + #""block_id":"blk_0000000000003g000000000001"}],"amount":-601,"balance_after":899,"#
            + #""effective_at":"2026-04-12T08:00:00.000Z","end_user_id":"zoé \"q\"\\/\n\u0001"#
            + "\u{7F}"
            + #"😀","feature_key":"gpt-4.1:input","id":"ent_0000000000003g000000000003","idempotency_key":"use/1","#
            + #""metadata":{},"overage_delta":0,"recorded_at":"2026-04-12T08:40:00.000001Z","reserved_after":0,"#
            + #""reserved_delta":0,"rule_id":"rule_0000000000000g000000000002","sequence":3,"type":"use","#
            + #""units":200001"#,
    ]

    @Test("The chain of an account equals the one computed in Python")
    func goldenChain() throws {
        let draft = try Self.goldenDraft()
        #expect(draft.entries.map { String(decoding: $0.hash.hexadecimal, as: UTF8.self) } == Self.goldenHashes)
        #expect(draft.book.lastHash == draft.entries.last?.hash)
    }

    @Test("The chain of version 1 equals the one computed in Python")
    func goldenChainOfVersion1() throws {
        let hashes = try Self.goldenDraft().entriesOfVersion1.map {
            String(decoding: $0.hash.hexadecimal, as: UTF8.self)
        }
        #expect(hashes == Self.goldenHashesOfVersion1)
    }

    @Test("The API shows all members with the hash as the last one", arguments: [(0, 0), (2, 1)])
    func shown(entry: Int, text: Int) throws {
        let draft = try Self.goldenDraft()
        let shown = draft.entries[entry].json(account: draft.account.id, endUserID: draft.account.endUserID)
        #expect(
            String(decoding: shown, as: UTF8.self)
                == Self.goldenTexts[text] + #","hash":"\#(Self.goldenHashes[entry])"}"#)
    }

    @Test(
        "Every entry's hash follows from the previous one, and from the account, the end user and the salt",
        arguments: [true, false])
    func dependsOnPrevious(ofVersion1: Bool) throws {
        let draft = try Self.goldenDraft()
        let (id, endUserID) = (draft.account.id, draft.account.endUserID)
        let salt = try #require(Salt(bytes: [UInt8](repeating: 1, count: 32)))
        var previous = EntryHash.zero
        for entry in ofVersion1 ? draft.entriesOfVersion1 : draft.entries {
            func hash(_ account: AccountID, _ endUserID: EndUserID, _ salt: Salt? = .zero) -> EntryHash? {
                entry.expectedHash(
                    after: previous, of: EntryOwner(account: account, endUserID: endUserID, salt: salt))
            }
            #expect(hash(id, endUserID) == entry.hash)
            #expect(entry.expectedHash(after: entry.hash, of: draft.owner) != entry.hash)
            #expect(hash(AccountID(8), endUserID) != entry.hash)
            #expect(hash(id, try #require(EndUserID("bob"))) != entry.hash)
            #expect((hash(id, endUserID, salt) == entry.hash) == ofVersion1)
            #expect(hash(id, endUserID, nil) == (ofVersion1 ? entry.hash : nil))
            #expect(hash(id, EndUserID(erased: id), nil) == nil)
            previous = entry.hash
        }
    }

    @Test("A hash stays when the text is replaced by its digest, and another digest is found")
    func erasure() throws {
        let draft = try Self.goldenDraft()
        let owner = EntryOwner(account: AccountID(7), endUserID: EndUserID(erased: AccountID(7)), salt: nil)
        var previous = EntryHash.zero
        for entry in draft.entries {
            let digest = try #require(entry.digest(of: draft.owner))
            let erased = entry.erased(digest)
            #expect(erased.cause.reason == nil && erased.cause.metadata == nil && erased.cause.idempotencyKey == nil)
            #expect(erased.expectedHash(after: previous, of: owner) == entry.hash)
            #expect(entry.erased(.zero).expectedHash(after: previous, of: owner) != entry.hash)
            previous = entry.hash
        }
    }

    @Test("No member of an entry can change without its hash")
    func everyMemberIsCovered() throws {
        let draft = try Self.goldenDraft()
        let entry = draft.entries[2]
        let previous = draft.entries[1].hash
        func hash(_ entry: Entry) -> EntryHash? { entry.expectedHash(after: previous, of: draft.owner) }
        var forgeries = [
            Self.copy(entry, sequence: 4), Self.copy(entry, type: .expire), Self.copy(entry, amount: -600),
            Self.copy(entry, reservedDelta: 1), Self.copy(entry, overageDelta: 1), Self.copy(entry, balanceAfter: 900),
            Self.copy(entry, reservedAfter: 1), Self.copy(entry, allocations: entry.allocations.reversed()),
            Self.copy(entry, allocations: []), Self.copy(entry, effectiveAt: Instant(microseconds: 0)),
            Self.copy(entry, recordedAt: Instant(microseconds: 0)),
        ]
        let causes: [(inout EntryCause) -> Void] = [
            { $0.featureKey = FeatureKey("gpt-4.1:output") }, { $0.featureKey = nil }, { $0.units = 200_002 },
            { $0.units = nil }, { $0.ruleID = PublicID(.rule, Bits128(high: 1, low: 3)) }, { $0.ruleID = nil },
            { $0.idempotencyKey = "use/2" }, { $0.idempotencyKey = nil }, { $0.reason = "" },
            { $0.metadata = Metadata(canonicalJSON: #"{"a":1}"#) }, { $0.metadata = nil },
        ]
        for change in causes {
            var cause = entry.cause
            change(&cause)
            forgeries.append(Self.copy(entry, cause: cause))
        }
        #expect(hash(Self.copy(entry)) == entry.hash)
        for forgery in forgeries { #expect(hash(forgery) != entry.hash) }
        #expect(Set(forgeries.map(hash)).count == forgeries.count)
    }

    @Test("A hash is 32 bytes in order, and hexadecimal digits in lower case")
    func bytes() throws {
        let bytes = (0..<32).map { UInt8($0 * 8 + 3) }
        let hash = try #require(EntryHash(bytes: bytes))
        #expect(hash.bytes == bytes)
        #expect(String(decoding: hash.hexadecimal, as: UTF8.self) == Auditor.hexadecimal(bytes))
        #expect(EntryHash(bytes: bytes.dropLast()) == nil)
        #expect(EntryHash(bytes: bytes + [0]) == nil)
        #expect(EntryHash(bytes: [UInt8](repeating: 0, count: 32)) == .zero)
    }

    private static func goldenDraft() throws -> AccountDraft {
        let feature = try #require(FeatureKey("gpt-4.1:input"))
        var catalogue = Catalogue()
        catalogue.features[feature] = Feature(key: feature)
        catalogue.prices[feature] = PriceList([
            MeteringRule(
                id: PublicID(.rule, Bits128(high: 1, low: 2)), featureKey: feature, version: 1,
                price: Price(.perUnit(unitCost: try Millicredits(Int64(3)), perUnits: 1_000)),
                effectiveFrom: Instant(microseconds: 0))
        ])
        var draft = AccountDraft(
            account: Account(
                id: AccountID(7), environmentID: EnvironmentID(1),
                endUserID: try #require(EndUserID("zoé \"q\"\\/\n\u{1}\u{7F}😀"))),
            profile: nil)
        let hour = try #require(CalendarDuration(iso8601: "PT1H"))
        let actions: [(String, String?, AccountAction)] = [
            (
                "2026-04-12T08:30:15.250Z", "k-1ü",
                .grant(
                    Grant(
                        credits: try Millicredits(Int64(1_000)), expiry: .after(hour), reason: "wel\tcome",
                        metadata: Metadata(canonicalJSON: #"{"a":true,"n":-5,"ü":"ß"}"#)))
            ),
            (
                "2026-04-12T08:30:15.250001Z", nil,
                .grant(Grant(credits: try Millicredits(Int64(500)), priority: 0))
            ),
            (
                "2026-04-12T08:40:00.000001Z", "use/1",
                .use(
                    UsageEvent(
                        featureKey: feature, units: 200_001, occurredAt: Instant(rfc3339: "2026-04-12T08:00:00Z"),
                        metadata: Metadata(canonicalJSON: "{}")))
            ),
            ("2026-05-01T00:00:00Z", nil, .use(UsageEvent(featureKey: feature, units: 0))),
        ]
        for (time, idempotencyKey, action) in actions {
            let now = try #require(Instant(rfc3339: time))
            let outcome = draft.apply(action, idempotencyKey: idempotencyKey, catalogue: catalogue, now: now)
            if case .refused(let refusal) = outcome { Issue.record("\(refusal)") }
        }
        return draft
    }

    private static func copy(
        _ entry: Entry, sequence: Int64? = nil, type: EntryType? = nil, amount: Int64? = nil,
        reservedDelta: Int64? = nil, overageDelta: Int64? = nil, balanceAfter: Int64? = nil,
        reservedAfter: Int64? = nil, overageAfter: Int64? = nil, allocations: [Allocation]? = nil,
        holds: [Allocation]? = nil, cause: EntryCause? = nil,
        effectiveAt: Instant? = nil, recordedAt: Instant? = nil
    ) -> Entry {
        Entry(
            sequence: sequence ?? entry.sequence, type: type ?? entry.type, amount: amount ?? entry.amount,
            reservedDelta: reservedDelta ?? entry.reservedDelta, overageDelta: overageDelta ?? entry.overageDelta,
            balanceAfter: balanceAfter ?? entry.balanceAfter, reservedAfter: reservedAfter ?? entry.reservedAfter,
            overageAfter: overageAfter ?? entry.overageAfter, allocations: allocations ?? entry.allocations,
            holds: holds ?? entry.holds, cause: cause ?? entry.cause,
            effectiveAt: effectiveAt ?? entry.effectiveAt, recordedAt: recordedAt ?? entry.recordedAt, hash: entry.hash)
    }
}
