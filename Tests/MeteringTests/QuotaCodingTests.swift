import Catalogue
import Credits
import JSON
import Metering
import Testing

@Suite("Quotas, windows and grants have one spelling, which is read back as the same value")
struct QuotaCodingTests {
    @Test(
        "A window's length",
        arguments: [
            ("day", "day"), ("week", "week"), ("month", "month"), ("PT1M", "PT1M"), ("PT300M", "PT5H"),
            ("P12M", "P1Y"), ("P10Y", "P10Y"), ("P3652D", "P3652D"),
        ])
    func lengths(text: String, spelling: String) throws {
        let length = try #require(WindowLength(text: text))
        #expect(length.text == spelling)
        #expect(WindowLength(text: spelling) == length)
    }

    @Test(
        "Texts that are not the length of a window",
        arguments: ["", "Day", "hour", "year", "PT59S", "PT0S", "P10YT1S", "P3653D", "P11Y", "P1000Y", "-P1D"])
    func notLengths(text: String) {
        #expect(WindowLength(text: text) == nil)
    }

    @Test(
        "A quota",
        arguments: [
            (#"{"limit":0,"window":"day"}"#, #"{"anchor":"calendar","limit":0,"window":"day"}"#),
            (
                #"{"window": "PT60M", "anchor": "first_use", "limit": 9007199254740991}"#,
                #"{"anchor":"first_use","limit":9007199254740991,"window":"PT1H"}"#
            ),
            (#"{"limit":5,"window":"month","anchor":null}"#, #"{"anchor":"calendar","limit":5,"window":"month"}"#),
        ])
    func quotas(text: String, spelling: String) throws {
        let quota = try Quota(json: text)
        #expect(quota.canonicalJSON == spelling)
        #expect(try Quota(json: spelling) == quota)
    }

    @Test(
        "The errors of a quota are named",
        arguments: [
            ("{}", ["/limit is required", "/window is required"]),
            (#"{"limit":-1,"window":"day"}"#, ["/limit must be between 0 and 9007199254740991"]),
            (#"{"limit":9007199254740992,"window":"day"}"#, ["/limit must be between 0 and 9007199254740991"]),
            (#"{"limit":1.0,"window":"day"}"#, ["/limit must be an integer written without fraction or exponent"]),
            (#"{"limit":1,"window":"PT30S"}"#, ["/window must be \(WindowLength.expectation)"]),
            (#"{"limit":1,"window":7}"#, ["/window must be a string, not a number"]),
            (
                #"{"limit":1,"window":"day","anchor":"never"}"#,
                [#"/anchor must be one of "calendar", "subscription", "first_use""#]
            ),
            (#"{"limit":1,"window":"day","reset":"never"}"#, ["/reset is not a known field"]),
            ("[]", [" must be an object, not an array"]),
        ])
    func notQuotas(text: String, problems: [String]) {
        let thrown = #expect(throws: JSONProblems.self) { try Quota(json: text) }
        #expect(thrown?.problems.map(\.description) == problems)
    }

    @Test(
        "A grant",
        arguments: [
            #"{"enabled":true}"#, #"{"enabled":false}"#, #"{"limit":25}"#,
            #"{"quota":{"anchor":"calendar","limit":100,"window":"week"}}"#,
        ])
    func grants(text: String) throws {
        let grant = try FeatureGrant(json: text)
        #expect(grant.canonicalJSON == text)
    }

    @Test(
        "The errors of a grant are named",
        arguments: [
            ("{}", [" must have exactly one of enabled, limit and quota"]),
            (#"{"enabled":null}"#, [" must have exactly one of enabled, limit and quota"]),
            (#"{"enabled":true,"limit":1}"#, [" must have exactly one of enabled, limit and quota"]),
            (#"{"enabled":"yes"}"#, ["/enabled must be true or false, not a string"]),
            (#"{"limit":-1}"#, ["/limit must be between 0 and 9007199254740991"]),
            (#"{"quota":5}"#, ["/quota must be an object, not a number"]),
            (#"{"quota":{"limit":5}}"#, ["/quota/window is required"]),
        ])
    func notGrants(text: String, problems: [String]) {
        let thrown = #expect(throws: JSONProblems.self) { try FeatureGrant(json: text) }
        #expect(thrown?.problems.map(\.description) == problems)
    }

    @Test("A member that is null counts as absent")
    func nullMember() throws {
        #expect(try FeatureGrant(json: #"{"enabled":true,"limit":null,"quota":null}"#) == .enabled(true))
    }

    @Test("Text that is not JSON is a separate error")
    func notJSON() {
        #expect(throws: JSONError.self) { try Quota(json: "{") }
    }
}
