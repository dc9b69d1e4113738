/// Cuts long work into pieces, so that the thread that does it also serves others.
package struct WorkPauses {
    private static let longestPiece = Duration.milliseconds(2)

    private var start = ContinuousClock.now

    package init() {}

    /// Lets other tasks run when the present piece of work has taken two milliseconds. Called often, between the steps
    /// of the work; costs a look at the clock.
    package mutating func pauseIfDue() async {
        guard ContinuousClock.now - start > Self.longestPiece else { return }
        await Task.yield()
        start = .now
    }
}
