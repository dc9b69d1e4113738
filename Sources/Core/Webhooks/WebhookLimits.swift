/// The bounds of webhooks. They stand in one place, because they depend on each other.
package enum WebhookLimits {
    /// Endpoints of an environment. An event is delivered to each of them at most, so this bounds the rows of an event.
    package static let endpoints = 20
    /// Attempts of one endpoint that are under way at once, each for another end user. A worker has at most
    /// `endpointsAtOnce` × `attemptsAtOnce` = 2,560 connections with attempts.
    package static let attemptsAtOnce = 10
    /// Endpoints on which a worker works at once.
    package static let endpointsAtOnce = 256
    /// Seconds of one attempt, from the look-up of the name to the end of the response.
    package static let attemptSeconds: Int64 = 15
    /// Seconds for which a worker owns an endpoint after it last said so. No attempt begins with less than
    /// `attemptSeconds` and a margin left, so that the next owner never sends beside it.
    package static let leaseSeconds: Int64 = 60
    /// Seconds of the lease after which no attempt begins.
    package static let lastStartSeconds: Int64 = leaseSeconds - attemptSeconds - 5
    /// Seconds after which a worker gives an endpoint with more work back, so that others get their turn.
    package static let turnSeconds: Int64 = 30
    /// Events that one step turns into deliveries.
    package static let eventsPerStep = 500
    /// End users, and deliveries of each, that a worker reads of an endpoint at once.
    package static let linesPerStep = 64
    package static let deliveriesPerLine = 8
    /// Bytes of a response that an attempt keeps.
    package static let responseBytes = 1_024
    /// Bytes of a response that are read before its connection is closed.
    package static let readBytes = 64 << 10
    /// Attempts that a delivery remembers.
    package static let rememberedAttempts = 20
    /// An endpoint of which every attempt has failed for this long is disabled.
    package static let failingSeconds: Int64 = 5 * 86_400
    /// Seconds for which an earlier secret may stay valid after a rotation.
    package static let overlapSeconds: ClosedRange<Int64> = 0...7 * 86_400
    package static let defaultOverlapSeconds: Int64 = 86_400
}
