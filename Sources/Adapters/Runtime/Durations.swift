extension Duration {
    /// The duration in seconds with a fraction, for display.
    package var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
