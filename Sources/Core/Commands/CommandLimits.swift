/// The limits of commands on their way from a request to a transaction. They follow from each other, so they stand together.
package enum CommandLimits {
    /// Commands in one message of a queue. A worker applies a full message in one transaction.
    package static let perMessage = 1_000

    /// Commands that one sender gives to one queue at once: they fit into one message. A longer list is sent in parts.
    package static let perRequest = perMessage

    /// Events of one usage batch: at most ten requests to a queue, and at most ten messages.
    package static let perUsageBatch = 10 * perRequest

    /// Commands in one transaction: a full message and the requests that came just behind it.
    package static let perTransaction = 2 * perMessage

    /// Commands of one question to the database for lost replies: those of two full messages.
    package static let perLookUp = 2 * perMessage

    /// Messages of one queue that a worker has in hand: the batch that it applies and what it applies next.
    package static let messagesInHand = 64

    /// The bytes at which a worker's batch is full, when a usual command (a use with a key) takes about 96 bytes: a message's
    /// worth of commands. More rows per statement no longer pay, and the other lanes should have something to do.
    package static let bytesPerBatch = 96 * perMessage

    /// The bytes that make a batch for another lane of the worker: a third of a full one.
    package static let bytesForAnotherLane = bytesPerBatch / 3
}
