/// The rules for integers in request bodies, inside and outside of objects.
package enum JSONInteger {
    /// The reason why a value is not the expected integer.
    package struct Refusal: Error, Sendable, Equatable {
        package let detail: String
        package let code: JSONProblem.Code
    }

    package static func read(
        _ value: JSONValue, _ kind: JSONIntegerKind, in range: ClosedRange<Int64>
    ) -> Result<Int64, Refusal> {
        let allowed = kind == .amount ? range.clamped(to: JSONIntegerKind.amountRange) : range
        switch value.integer.map({ JSONValue.integer($0) }) ?? value {
        case .integer(let integer):
            if allowed.contains(integer) { return .success(integer) }
            let isAmountBeyondReach = kind == .amount && !JSONIntegerKind.amountRange.contains(integer)
            return .failure(outOfRange(allowed, isAmountBeyondReach ? .amountOutOfRange : .invalidRequest))
        case .number(let literal) where literal.utf8.allSatisfy(isDigitOrSign):
            return .failure(outOfRange(allowed, kind == .amount ? .amountOutOfRange : .invalidRequest))
        case .number:
            return .failure(
                Refusal(
                    detail: "must be an integer written without fraction or exponent",
                    code: .invalidRequest))
        default:
            return .failure(Refusal(detail: "must be an integer, not \(value.kind)", code: .invalidRequest))
        }
    }

    private static func isDigitOrSign(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "-")
    }

    private static func outOfRange(_ range: ClosedRange<Int64>, _ code: JSONProblem.Code) -> Refusal {
        let detail =
            switch (range.lowerBound, range.upperBound) {
            case (let lower, .max) where lower > .min: "must be at least \(lower)"
            case (.min, let upper) where upper < .max: "must be at most \(upper)"
            case (let lower, let upper): "must be between \(lower) and \(upper)"
            }
        return Refusal(detail: detail, code: code)
    }
}
