import Credits
import Crypto
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
    /// Deaths of a message before it is parked as it is: then it dies before its commands can be told apart.
    private static let attemptsInAll = 20

    /// - Returns: False when the loop was closed first.
    func processSuspect(_ delivery: AMQPDelivery) async -> Bool {
        let messageID = Self.identity(of: delivery.body)
        guard let attempts = await countAttempt(messageID) else { return false }
        if attempts > Self.attemptsInAll {
            guard await park(delivery, error: "its worker died \(attempts - 1) times while it read it") else {
                return false
            }
        } else {
            guard await process([delivery], oneByOne: attempts > Self.attemptsTogether) else { return false }
        }
        await forget([messageID])
        return true
    }

    /// Applies items one by one; the one that keeps killing its worker is parked.
    func applyOneByOne(_ items: [AccountItem]) async -> [CommandResult]? {
        var results: [CommandResult] = []
        for item in items {
            let id = item.command.identity.id
            guard let attempts = await countAttempt(id) else { return nil }
            let result =
                attempts > Self.attemptsAlone
                ? await parked(item, error: "its worker died \(attempts - 1) times while it applied it alone")
                : await apply([item])?.first
            guard let result else { return nil }
            results.append(result)
            await forget([id])
        }
        return results
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

    /// What stays behind costs a row and, should the same message ever come again, some deaths less.
    private func forget(_ ids: [Bits128]) async {
        do {
            try await repeating { try await SuspectStore.forget(ids, on: $0) }
        } catch {
            logger.warning("a suspect could not be forgotten: \(error)")
        }
    }

    /// The first 128 bits of SHA-256.
    private static func identity(of body: [UInt8]) -> Bits128 {
        SHA256.hash(data: body).withUnsafeBytes { digest in
            Bits128(
                high: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                low: UInt64(bigEndian: digest.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }
}
