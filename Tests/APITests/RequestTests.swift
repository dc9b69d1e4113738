import Commands
import Credits
import JSON
import Messaging
import Testing

@testable import API

@Suite("Requests")
struct RequestTests {
    @Test(
        "a position is read back from its token",
        arguments: [
            .none, .account(AccountID(1), revision: 1), .account(AccountID(.max), revision: .max),
            .catalogue(EnvironmentID(7), version: 3), .catalogue(EnvironmentID(.max), version: 0),
        ] as [Position])
    func tokens(position: Position) {
        #expect(PositionToken.position(PositionToken.text(position)) == position)
    }

    @Test(
        "a text that is not a token is refused",
        arguments: [
            "", "a", "x0000000000000g000000000002", "a0000000000000g00000000000", "a8000000000000g000000000002", "00",
        ])
    func badTokens(text: String) {
        #expect(PositionToken.position(text) == nil)
    }

    @Test(
        "percent-encoding is decoded strictly",
        arguments: [
            ("a%20b", "a b"), ("a+b", "a b"), ("%C3%A9", "é"), ("%c3%a9", "é"), ("a%2Fb", "a/b"), ("", ""), ("%", nil),
            ("%2", nil), ("%zz", nil), ("%FF", nil), ("%C3", nil),
        ] as [(String, String?)])
    func percentEncoding(text: String, decoded: String?) {
        #expect(percentDecoded(text, plusIsSpace: true) == decoded)
    }

    @Test("a plus in a path is a plus")
    func plusInPath() {
        #expect(percentDecoded("a+b", plusIsSpace: false) == "a+b")
    }

    @Test("the cursor of a page finds the same place again, and any other text is refused")
    func cursors() throws {
        let page = PageRequest(limit: 1, cursor: nil)
        let body = page.json([7, 8], cursor: { [.integer($0)] }) { json, item in json.value(item) }
        guard case .object(let object) = try JSONParser.parse(body),
            case .object(let pagination)? = object["pagination"],
            case .string(let cursor)? = pagination["next_cursor"]
        else {
            Issue.record("no cursor in \(String(decoding: body, as: UTF8.self))")
            return
        }
        #expect(object["data"] == .array([.integer(7)]))
        let next = PageRequest(limit: 1, cursor: cursor)
        #expect(try next.cursorParts { $0 } == [.integer(7)])
        for bad in ["", "zz", "abc", "5b5d5d", cursor + "00"] {
            #expect(throws: (any Error).self) { try PageRequest(limit: 1, cursor: bad).cursorParts { $0 } }
        }
    }
}
