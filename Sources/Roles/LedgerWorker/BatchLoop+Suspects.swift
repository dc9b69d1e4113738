import Commands
import Credits
import Logging
import Messaging
import RabbitMQ
import Storage

extension AMQPDelivery {
    /// Delivered so often before that it may be what ends the workers it comes to.
    var isSuspect: Bool { deliveryCount >= 3 }
}

/// A message that may kill the worker: nothing else is in hand while it is tried, and each attempt is written down
/// before it, so that the culprit alone is found and parked.
extension BatchLoop {
    /// Deaths of a whole message before its commands are tried one by one.
    private static let attemptsTogether = 2
    /// Deaths of a command alone before it is parked.
    private static let attemptsAlone = 2
    /// Deaths while the message itself was read before it is parked as it is.
    private static let attemptsToRead = 2

    /// - Returns: False when the loop was closed first.
    func processSuspect(_ delivery: AMQPDelivery) async -> Bool {
        let messageID = Bits128(digestOf: delivery.body)
        guard let attempts = await countAttempt(messageID) else { return false }
        let oneByOne = attempts > Self.attemptsTogether
        if oneByOne {
            guard let isReadable = await read(delivery, messageID) else { return false }
            guard isReadable else { return true }
        }
        guard await process([delivery], oneByOne: oneByOne) else { return false }
        // Not before the acknowledgement: should the message come again, what was parked must not be tried again.
        await forget([messageID] + parkedCommands)
        parkedCommands = []
        return true
    }

    /// Finds out whether a message can be read at all without the worker's dying; one that cannot is parked as it is.
    ///
    /// - Returns: Nil when the loop was closed first.
    private func read(_ delivery: AMQPDelivery, _ messageID: Bits128) async -> Bool? {
        let readingID = Bits128(high: ~messageID.high, low: ~messageID.low)
        guard let attempts = await countAttempt(readingID) else { return nil }
        if attempts > Self.attemptsToRead {
            guard await park(delivery, error: "its worker died \(attempts - 1) times while it read it") else {
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

    /// Applies items one by one; those that keep killing their worker are parked.
    func applyOneByOne(_ items: [AccountItem]) async -> [CommandResult]? {
        var results: [CommandResult] = []
        for item in items {
            let result = await tryAlone(item.command.identity.id) {
                await apply([item])?.first
            } park: {
                await parked(item, error: $0)
            }
            guard let result else { return nil }
            results.append(result)
        }
        return results
    }

    /// Tries one command, unless its worker has died of it often enough.
    ///
    /// - Returns: Nil when the loop was closed first.
    func tryAlone(
        _ id: Bits128, apply: () async -> CommandResult?, park: (String) async -> CommandResult?
    ) async -> CommandResult? {
        guard let attempts = await countAttempt(id) else { return nil }
        guard attempts <= Self.attemptsAlone else {
            parkedCommands.append(id)
            return await park("its worker died \(attempts - 1) times while it applied it alone")
        }
        guard let result = await apply() else { return nil }
        await forget([id])
        return result
    }

    /// - Returns: Nil when the loop was closed first.
    private func countAttempt(_ id: Bits128) async -> Int? {
        do {
            return try await repeating { connection in
                Int(try await SuspectStore.countAttempt(id, on: connection))
            }
        } catch is LoopClosed {
            return nil
        } catch {
            logger.error("an attempt at a suspect cannot be written down: \(error)")
            return 1
        }
    }

    /// Best effort: a row that is left behind wastes space, and the same message would reach its parking limit after fewer
    /// crashes.
    private func forget(_ ids: [Bits128]) async {
        do {
            try await repeating { try await SuspectStore.forget(ids, on: $0) }
        } catch {
            logger.warning("a suspect could not be forgotten: \(error)")
        }
    }
}
