import Testing

@testable import API

@Suite("Preferences and quoted keys")
struct PreferenceTests {
    @Test(
        "of a client are read as RFC 7240 says",
        arguments: [
            (nil, false, nil, nil), ("", false, nil, nil), ("respond-async", true, nil, "respond-async"),
            ("Respond-Async , wait = 2", true, 2, "respond-async, wait=2"), ("wait=0", false, 0, "wait=0"),
            ("wait=60;foo, wait=3", false, 60, "wait=60"), ("wait=61", false, nil, nil), ("wait=-1", false, nil, nil),
            ("wait=two, return=minimal", false, nil, nil), ("wait", false, nil, nil),
            ("respond-async=1", false, nil, nil), ("respond-async; x=y", true, nil, "respond-async"),
        ] as [(String?, Bool, Int?, String?)])
    func preferences(_ header: String?, respondsAsync: Bool, wait: Int?, applied: String?) {
        let read = Preferences(header)
        #expect(read.respondsAsync == respondsAsync)
        #expect(read.wait == wait)
        #expect(read.applied == applied)
    }

    @Test(
        "a key is the text inside a quoted string, or a text that is no quoted string",
        arguments: [
            (#""abc""#, "abc"), (#""a b""#, "a b"), (#""a\"b\\cd""#, #"a"b\cd"#), (#""Zoë""#, "Zoë"), (#""\"""#, "\""),
            ("abc", "abc"), (#"abc""#, #"abc""#), (#""abc"#, #""abc"#), (#""a"b""#, #""a"b""#),
            (#""abc\""#, #""abc\""#), (#""a\b""#, #""a\b""#), (#""a";x"#, #""a";x"#), ("\"a\tb\"", "\"a\tb\""),
            (#""""#, nil), ("\"", nil), ("", nil),
        ] as [(String, String?)])
    func quoted(_ text: String, key: String?) {
        #expect((try? MutationHeaders.key(text)) == key)
    }
}
