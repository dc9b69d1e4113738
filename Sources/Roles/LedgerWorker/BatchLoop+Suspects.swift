import Commands
import Credits
import Logging
import Messaging
import RabbitMQ
import Storage

extension AMQPDelivery {
    /// Whether the message was delivered at least three times before, so that it may be what crashes its workers.
    var isSuspect: Bool { deliveryCount >= 3 }
}

/// The handling of suspects, which are messages that may crash the worker. No lane works on anything else while a
/// suspect is tried. Each attempt is stored before it begins, so that the message or command that crashes its workers
/// is found and only that one is parked.
extension BatchLoop {
    /// Attempts to apply a whole message before its commands are applied one by one.
    private static let attemptsTogether = 2
    /// Attempts to apply a command alone before it is parked.
    private static let attemptsAlone = 2
    /// Attempts to decode the message before it is parked undecoded.
    private static let attemptsToRead = 2

    /// Processes a suspect message alone.
    ///
    /// - Returns: False when the loop was closed first.
    func processSuspect(_ message: MessageInHand) async -> Bool {
        let delivery = message.delivery
        let messageID = Bits128(digestOf: delivery.body)
        guard let attempts = await countAttempt(messageID) else { return false }
        let oneByOne = attempts > Self.attemptsTogether
        if oneByOne {
            guard let isReadable = await read(delivery, messageID) else { return false }
            guard isReadable else { return true }
        }
        guard await process(delivery, oneByOne: oneByOne) else { return false }
        // The attempts are deleted after the acknowledgement: if the message is delivered again, its parked commands
        // must not be applied again.
        await forget([messageID] + parkedCommands)
        parkedCommands = []
        return true
    }

    /// Decodes a message to find out whether that crashes the worker. A message that does is parked undecoded.
    ///
    /// - Returns: False when the message was parked; nil when the loop was closed first.
    private func read(_ delivery: AMQPDelivery, _ messageID: Bits128) async -> Bool? {
        let readingID = Bits128(high: ~messageID.high, low: ~messageID.low)
        guard let attempts = await countAttempt(readingID) else { return nil }
        if attempts > Self.attemptsToRead {
            guard await park(delivery, error: "the worker crashed \(attempts - 1) times while it decoded the message")
            else {
                return nil
            }
            consumer.acknowledge([delivery.tag])
            await forget([messageID, readingID])
            return false
        }
        _ = try? ReceivedMessage(decoding: delivery.body)
        await forget([readingID])
        return true
    }

    /// Applies an item in a transaction of its own. An item that keeps crashing the worker is parked.
    func applyAlone(_ item: AccountItem) async -> AppliedPart? {
        await tryAlone(item.command.identity.id) {
            await apply([item])?.results.first
        } park: {
            await parked(item, error: $0)
        }.map { AppliedPart(results: [$0], pace: BatchPace()) }
    }

    /// Applies one command alone, or parks it when `attemptsAlone` attempts have crashed the worker.
    ///
    /// - Returns: Nil when the loop was closed first.
    func tryAlone(
        _ id: Bits128, apply: () async -> CommandResult?, park: (String) async -> CommandResult?
    ) async -> CommandResult? {
        guard let attempts = await countAttempt(id) else { return nil }
        guard attempts <= Self.attemptsAlone else {
            parkedCommands.append(id)
            return await park("the worker crashed \(attempts - 1) times while it applied the command alone")
        }
        guard let result = await apply() else { return nil }
        await forget([id])
        return result
    }

    /// Stores that an attempt begins.
    ///
    /// - Returns: The number of attempts, this one included; nil when the loop was closed first.
    private func countAttempt(_ id: Bits128) async -> Int? {
        do {
            return try await repeating { connection in
                Int(try await SuspectStore.countAttempt(id, on: connection))
            }
        } catch is LoopClosed {
            return nil
        } catch {
            logger.error("the attempt at a suspect message or command could not be stored: \(error)")
            return 1
        }
    }

    /// Deletes the stored attempts. Best effort: a row that is left behind wastes space, and the same message would
    /// reach its parking limit after fewer crashes.
    private func forget(_ ids: [Bits128]) async {
        do {
            try await repeating { try await SuspectStore.forget(ids, on: $0) }
        } catch {
            logger.warning("the stored attempts at a suspect could not be deleted: \(error)")
        }
    }
}
