import Catalogue
import Credits
import Ledger
import Metering
import SeededRandom
import Testing

/// The parts of an account that are stored as text.
@Suite("Stored state")
struct StoredStateTests {
    @Test("settings, demands, counts, parts and details are read back as they were stored")
    func roundTrips() throws {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<2_000 {
            let settings = try random.settings()
            #expect(try settings.storedJSON.map { try AccountSettings(storedJSON: $0) } ?? .none == settings)
            let demand = try random.demand()
            #expect(try Demand(storedJSON: demand.storedJSON) == demand)
            let counts = random.counts()
            #expect(try counts.storedJSON.map { try [ReservationCount](storedJSON: $0) } ?? [] == counts)
            let parts = try random.parts()
            #expect(try [JobPart](storedJSON: parts.storedJSON) == parts)
            let details = try random.details()
            #expect(try details.storedJSON.map { try EntryDetails(storedJSON: $0) } ?? .none == details)
            let autoTopUp = try random.autoTopUp()
            #expect(try AutoTopUp(storedJSON: autoTopUp.storedJSON) == autoTopUp)
        }
    }

    @Test("an empty value is stored as null")
    func empty() {
        #expect(AccountSettings.none.storedJSON == nil)
        #expect([ReservationCount]().storedJSON == nil)
        #expect(EntryDetails.none.storedJSON == nil)
    }

    @Test("the text is the same for the same value, with its members in order")
    func canonical() throws {
        let calls = try #require(FeatureKey("calls"))
        var settings = AccountSettings(overagePolicy: .allow, overrides: [calls: .enabled(true)])
        settings.caps = [
            SpendCap(number: 1, featureKey: nil, credits: .max, window: .day, createdAt: Instant(microseconds: 5))
        ]
        settings.capCount = 1
        #expect(
            settings.storedJSON
                == #"{"cap_count":1,"caps":[{"created_at":5,"credits":9007199254740991,"number":1,"window":"day"}],"#
                + #""overage_policy":"allow","overrides":{"calls":{"enabled":true}}}"#)
        #expect(
            Demand.measured(.quantities(["out": 1, "in": 2]), Attributes(["model": .string("large")])).storedJSON
                == #"{"attributes":{"model":"large"},"quantities":{"in":2,"out":1}}"#)
    }

    @Test(
        "a text that no version has written is refused",
        arguments: [
            "", "[]", "{", #"{"caps":{}}"#, #"{"caps":[1]}"#, #"{"caps":[{"number":1}]}"#,
            #"{"overage_policy":"maybe"}"#,
            #"{"overage_limit":9007199254740992}"#, #"{"overage_limit":"1"}"#, #"{"overrides":{"":{"enabled":true}}}"#,
            #"{"overrides":{"calls":{"enabled":1}}}"#, #"{"test_clock":"res_00000000000000000000000000"}"#,
            #"{"cap_count":99999999999}"#,
        ])
    func refused(text: String) {
        #expect(throws: StoredJSONError.self) { try AccountSettings(storedJSON: text) }
    }

    @Test(
        "the same holds for demands, counts and details",
        arguments: [
            "", "1", #"{"units":"1","counterparty":"","attributes":{"a":null}}"#, #"[["0",1,2,3]]"#,
            #"[["00000000000000000000000000000000","units",1,"x"]]"#, #"{"open":{"credits":1},"attributes":1}"#,
            #"{"rule":{"credits":1},"attributes":1}"#, #"{"counted":[1,2],"attributes":1}"#,
        ])
    func refusedParts(text: String) {
        #expect(throws: StoredJSONError.self) { try Demand(storedJSON: text) }
        #expect(throws: StoredJSONError.self) { try [ReservationCount](storedJSON: text) }
        #expect(throws: StoredJSONError.self) { try EntryDetails(storedJSON: text) }
        guard !text.contains("units") else { return }
        #expect(throws: StoredJSONError.self) { try AutoTopUp(storedJSON: text) }
    }
}
