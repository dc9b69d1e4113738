extension Duration {
    /// The duration as a fractional number of seconds, for showing.
    package var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
