import Commands
import Credits
import Messaging

/// The position token: the text of a position, which is opaque to clients.
enum PositionToken {
    /// The token of a position that is always reached.
    private static let none = "0"

    static func text(_ position: Position) -> String {
        switch position {
        case .none: none
        case .account(let account, let revision):
            "a" + payload(UInt64(bitPattern: account.rawValue), UInt64(bitPattern: revision))
        case .catalogue(let environment, let version):
            "c" + payload(UInt64(UInt32(bitPattern: environment.rawValue)), UInt64(bitPattern: version))
        }
    }

    /// Returns nil for a text that is not a position token.
    static func position(_ text: String) -> Position? {
        if text == none { return Position.none }
        guard let kind = text.first, let id = PublicID(.operation, parsing: "op_" + text.dropFirst()) else {
            return nil
        }
        switch kind {
        case "a": return .account(id.account, revision: id.number)
        case "c":
            guard let environment = UInt32(exactly: id.bits.high) else { return nil }
            return .catalogue(EnvironmentID(Int32(bitPattern: environment)), version: id.number)
        default: return nil
        }
    }

    private static func payload(_ high: UInt64, _ low: UInt64) -> String {
        String(PublicID(.operation, Bits128(high: high, low: low)).description.dropFirst(3))
    }
}
