/// Formats numbers for people.
package enum Figure {
    /// A number with a comma between groups of three digits: `1,234,567`.
    static func grouped(_ number: Int64) -> String {
        let digits = String(number.magnitude)
        var text = number < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return text
    }

    /// A number rounded to the given number of decimal places.
    static func decimal(_ number: Double, places: Int) -> String {
        var scale: Double = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = Int64((number.magnitude * scale).rounded())
        let whole = scaled / Int64(scale)
        let sign = number < 0 && scaled > 0 ? "-" : ""
        guard places > 0 else { return sign + String(whole) }
        let fraction = String(scaled % Int64(scale))
        return "\(sign)\(whole)." + String(repeating: "0", count: places - fraction.count) + fraction
    }

    /// A duration of nanoseconds in a fitting unit.
    package static func duration(_ nanoseconds: UInt64) -> String {
        switch nanoseconds {
        case ..<1_000: "\(nanoseconds) ns"
        case ..<1_000_000: decimal(Double(nanoseconds) / 1e3, places: nanoseconds < 10_000 ? 1 : 0) + " µs"
        case ..<1_000_000_000: decimal(Double(nanoseconds) / 1e6, places: 2) + " ms"
        default: decimal(Double(nanoseconds) / 1e9, places: 2) + " s"
        }
    }

    /// A number of bytes in mebibytes.
    static func memory(_ bytes: Int) -> String {
        decimal(Double(bytes) / 1_048_576, places: 1) + " MiB"
    }

    static func measure(_ measure: BenchmarkRow.Measure) -> String {
        switch measure {
        case .perSecond(let rate): grouped(Int64(rate.rounded())) + "/s"
        case .nanoseconds(let nanoseconds): duration(nanoseconds)
        }
    }
}
