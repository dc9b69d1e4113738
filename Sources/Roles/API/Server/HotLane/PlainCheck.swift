import Commands
import Credits
import Glibc
import Ledger

/// A `GET /v1/entitlements/check` in the form that nearly every client sends: ASCII, the parameters as they are, and no
/// header that changes the meaning of the request.
///
/// Everything else is nil here and is left to the ordinary path, also what that path refuses. So a rule of HTTP that is
/// not known here cannot be broken here.
struct PlainCheck {
    let endUserID: EndUserID
    let feature: FeatureKey
    let units: Int64
    /// The bytes of the API key in the head.
    let key: Range<Int>
    /// The bytes of the client's id of the request in the head; nil without one.
    let requestID: Range<Int>?

    private static let start: StaticString = "GET /v1/entitlements/check?"
    private static let end: StaticString = " HTTP/1.1\r\n"

    /// - Parameter head: A whole head, with its blank line, within the limits of size.
    init?(_ head: UnsafeRawBufferPointer) {
        guard head.begins(with: Self.start, at: 0),
            let query = head.index(of: UInt8(ascii: " "), from: Self.start.utf8CodeUnitCount),
            head.begins(with: Self.end, at: query),
            let parameters = Parameters(head, in: Self.start.utf8CodeUnitCount..<query),
            let headers = Headers(head, from: query + Self.end.utf8CodeUnitCount)
        else { return nil }
        endUserID = parameters.endUserID
        feature = parameters.feature
        units = parameters.units
        key = headers.key
        requestID = headers.requestID
    }

    private struct Parameters {
        let endUserID: EndUserID
        let feature: FeatureKey
        let units: Int64

        init?(_ head: UnsafeRawBufferPointer, in range: Range<Int>) {
            var endUser: Range<Int>?
            var feature: Range<Int>?
            var units: Range<Int>?
            var start = range.lowerBound
            while start < range.upperBound {
                let end = min(head.index(of: UInt8(ascii: "&"), from: start) ?? range.upperBound, range.upperBound)
                guard let sign = head.index(of: UInt8(ascii: "="), from: start), sign < end - 1 else { return nil }
                let value = sign + 1..<end
                guard head[value].allSatisfy(\.isPlainInQuery) else { return nil }
                if endUser == nil, head.equals("end_user_id", in: start..<sign) {
                    endUser = value
                } else if feature == nil, head.equals("feature_key", in: start..<sign) {
                    feature = value
                } else if units == nil, head.equals("units", in: start..<sign) {
                    units = value
                } else {
                    return nil
                }
                start = end + 1
            }
            guard let endUser, let feature, let endUserID = EndUserID(head.text(endUser)),
                let featureKey = FeatureKey(head.text(feature))
            else { return nil }
            self.endUserID = endUserID
            self.feature = featureKey
            guard let units else {
                self.units = 1
                return
            }
            guard units.count <= 18, head[units].allSatisfy(\.isDigit) else { return nil }
            self.units = head[units].reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
        }
    }

    private struct Headers {
        let key: Range<Int>
        let requestID: Range<Int>?

        init?(_ head: UnsafeRawBufferPointer, from first: Int) {
            var hasHost = false
            var key: Range<Int>?
            var requestID: Range<Int>?
            var start = first
            while true {
                guard let lineFeed = head.index(of: UInt8(ascii: "\n"), from: start), lineFeed > start,
                    head[lineFeed - 1] == UInt8(ascii: "\r")
                else { return nil }
                let end = lineFeed - 1
                guard end > start else { break }
                guard let colon = head.index(of: UInt8(ascii: ":"), from: start), colon > start, colon < end,
                    head[start..<colon].allSatisfy(\.isTokenByte)
                else { return nil }
                let name = start..<colon
                let value = head.trimmed(colon + 1..<end)
                guard head[value].allSatisfy(\.isVisibleOrSpace) else { return nil }
                switch HeaderName(head, in: name) {
                case .host:
                    guard !hasHost, !value.isEmpty, head[value].allSatisfy(\.isPlainInHost) else { return nil }
                    hasHost = true
                case .authorization:
                    guard key == nil, let token = head.bearerToken(in: value) else { return nil }
                    key = token
                case .apiKey:
                    guard key == nil, !value.isEmpty else { return nil }
                    key = value
                case .requestID:
                    guard requestID == nil, (1...64).contains(value.count), !head[value].contains(UInt8(ascii: " "))
                    else { return nil }
                    requestID = value
                case .connection:
                    guard head.equalsIgnoringCase("keep-alive", in: value) else { return nil }
                case .meaningful: return nil
                case .ignored: break
                }
                start = lineFeed + 1
            }
            guard hasHost, let key else { return nil }
            self.key = key
            self.requestID = requestID
        }
    }

    /// The meaning of a header for a check.
    private enum HeaderName {
        case host, authorization, apiKey, requestID, connection
        /// It changes how the request is read or answered.
        case meaningful
        case ignored

        init(_ head: UnsafeRawBufferPointer, in name: Range<Int>) {
            func isNamed(_ text: StaticString) -> Bool { head.equalsIgnoringCase(text, in: name) }
            func begins(_ text: StaticString) -> Bool {
                name.count >= text.utf8CodeUnitCount
                    && head.equalsIgnoringCase(
                        text, in: name.lowerBound..<name.lowerBound + text.utf8CodeUnitCount)
            }
            // Most headers are told apart by their first letter.
            self =
                switch head[name.lowerBound] | 0x20 {
                case UInt8(ascii: "a"): isNamed("authorization") ? .authorization : .ignored
                case UInt8(ascii: "c"):
                    isNamed("connection") ? .connection : begins("content-") ? .meaningful : .ignored
                case UInt8(ascii: "h"): isNamed("host") ? .host : .meaningful
                case UInt8(ascii: "x"):
                    isNamed("x-api-key") ? .apiKey : isNamed("x-request-id") ? .requestID : .ignored
                case UInt8(ascii: "u"): isNamed("upgrade") ? .meaningful : .ignored
                case UInt8(ascii: "t"): begins("trace") ? .ignored : .meaningful
                case UInt8(ascii: "e"), UInt8(ascii: "i"), UInt8(ascii: "k"), UInt8(ascii: "p"), UInt8(ascii: "q"):
                    .meaningful
                default: .ignored
                }
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func index(of byte: UInt8, from start: Int) -> Int? {
        guard let base = baseAddress, start < count, let found = memchr(base + start, Int32(byte), count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }

    fileprivate func begins(with text: StaticString, at start: Int) -> Bool {
        let end = start + text.utf8CodeUnitCount
        return end <= count && equals(text, in: start..<end)
    }

    fileprivate func equals(_ text: StaticString, in range: Range<Int>) -> Bool {
        guard let base = baseAddress else { return false }
        return range.count == text.utf8CodeUnitCount
            && memcmp(base + range.lowerBound, text.utf8Start, range.count) == 0
    }

    /// - Parameter text: In lower case, of letters and `-`.
    fileprivate func equalsIgnoringCase(_ text: StaticString, in range: Range<Int>) -> Bool {
        guard range.count == text.utf8CodeUnitCount else { return false }
        for (offset, index) in range.enumerated() where self[index] | 0x20 != text.utf8Start[offset] { return false }
        return true
    }

    fileprivate func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start].isBlank { start += 1 }
        while end > start, self[end - 1].isBlank { end -= 1 }
        return start..<end
    }

    /// The bytes of the token after `Bearer` and one space.
    fileprivate func bearerToken(in value: Range<Int>) -> Range<Int>? {
        let scheme = value.lowerBound..<Swift.min(value.lowerBound + 6, value.upperBound)
        let token = scheme.upperBound + 1..<Swift.max(value.upperBound, scheme.upperBound + 1)
        guard equalsIgnoringCase("bearer", in: scheme), !token.isEmpty, self[scheme.upperBound] == UInt8(ascii: " "),
            !self[token].contains(UInt8(ascii: " "))
        else { return nil }
        return token
    }

    fileprivate func text(_ range: Range<Int>) -> String { String(decoding: self[range], as: UTF8.self) }
}

extension UInt8 {
    fileprivate var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
    fileprivate var isBlank: Bool { self == UInt8(ascii: " ") || self == UInt8(ascii: "\t") }
    fileprivate var isVisibleOrSpace: Bool { self >= 0x20 && self < 0x7F }

    private var isLetterOrDigit: Bool {
        isDigit || (self | 0x20 >= UInt8(ascii: "a") && self | 0x20 <= UInt8(ascii: "z"))
    }

    /// A byte that stands for itself in a query, whatever reads it.
    fileprivate var isPlainInQuery: Bool {
        if isLetterOrDigit { return true }
        switch self {
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: ":"),
            UInt8(ascii: "@"), UInt8(ascii: "/"):
            return true
        default: return false
        }
    }

    fileprivate var isPlainInHost: Bool {
        if isLetterOrDigit { return true }
        switch self {
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"): return true
        default: return false
        }
    }

    /// A byte of the most usual header names.
    fileprivate var isTokenByte: Bool {
        isLetterOrDigit || self == UInt8(ascii: "-") || self == UInt8(ascii: "_")
    }
}
