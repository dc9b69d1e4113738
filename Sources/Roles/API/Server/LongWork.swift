import Runtime

/// The work that runs beside the event loops: large bodies, and reads from the database with their answers. The event loops stay
/// free for what is answered from memory.
///
/// A neighbour's single use waited for seconds while two cores worked on bodies of 180 KB on the event loops; see
/// Sources/decisions/0032-long-work-off-the-event-loops.md.
enum LongWork {
    static let threads = LongWorkThreads()

    /// The largest body that an event loop works on. It takes a fraction of a millisecond.
    static let smallBody = 16 << 10
}
