/// The limits of commands between a request and a transaction. They depend on each other, so they are defined together.
package enum CommandLimits {
    /// Commands in one message. A worker applies a full message of usual commands in one transaction.
    package static let perMessage = 1_000

    /// Commands that one sender gives to one queue at once, so that they fit into one message. Longer lists are split.
    package static let perRequest = perMessage

    /// Items of one batch: at most ten full requests, and so at most ten full messages.
    package static let perBatch = 10 * perRequest

    /// Commands in one transaction: a full message and the requests that arrived just after it.
    package static let perTransaction = 2 * perMessage
    /// The number of commands in one transaction of several environments, each of which waits for all of it.
    package static let perSharedTransaction = 256

    /// Commands in one database look-up of lost replies: two full messages.
    package static let perLookUp = 2 * perMessage

    /// The bytes of a message. A longer request has a message of its own.
    package static let messageBytes = 256 * 1_024

    /// The bytes of one request, and so of any message. RabbitMQ would take 128 MiB, but a publisher that sends so much
    /// keeps all others from sending.
    package static let requestBytes = 4 * 1_024 * 1_024

    /// Unacknowledged messages per queue at a worker. They belong to many environments, and the messages of one that are
    /// slow to apply must not keep those of the others from the worker.
    package static let prefetch = 512

    /// Messages that a worker's batch takes from all queues.
    package static let messagesPerBatch = 64

    /// The time for which a worker applies the commands of catalogues, each in a transaction of its own, before it turns
    /// to the next environments.
    package static let partTime = Duration.milliseconds(100)

    /// The bytes at which a worker's batch is full: one full message, if a usual command (a use with a key) takes about
    /// 96 bytes. Larger batches save no more time per row, and they would keep work from the other lanes.
    package static let bytesPerBatch = 96 * perMessage

    /// The waiting bytes for which a worker starts another lane: a third of a full batch.
    package static let bytesForAnotherLane = bytesPerBatch / 3
}
