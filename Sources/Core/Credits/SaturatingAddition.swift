extension Int64 {
    /// The sum of two numbers; the nearest end of the range where the sum is outside it.
    ///
    /// Only for units and for usage that is compared with limits. An amount of credits that overflows is an error; see
    /// `Millicredits`.
    package func addingSaturated(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
