import Credits
import JSON
import LedgerModel

/// Compares the answers that the clients received with the decisions in the books.
struct DecisionCheck {
    let environments: [Environment]
    let books: Books
    let violations: Violations

    /// An operation has no effect when every request for it was refused before anything was done.
    func nothingWasDone(_ journals: [ClientJournal]) {
        let decided = Set(books.commands.map(\.identifier))
        for record in journals.flatMap(\.records) {
            guard case .notAccepted(let reason) = record.outcome else { continue }
            if decided.contains(record.operation.commandID(environments)) {
                violations.add("\(record.operation.key) was decided, but its client was told: \(reason)")
            }
        }
    }

    /// Every decided operation has exactly one decision, and its client received that decision.
    func everythingIsDecidedOnce(_ journals: [ClientJournal]) {
        let commands = Dictionary(grouping: books.commands, by: \.identifier)
        for record in journals.flatMap(\.records) {
            let operation = record.operation
            let found = commands[operation.commandID(environments)] ?? []
            // `Settlement` has already reported the operations that stay undecided.
            guard case .decided(let decision) = record.outcome else { continue }
            guard found.count == 1, let command = found.first else {
                violations.add("I11: \(operation.key) was answered \(decision) and has \(found.count) decisions")
                continue
            }
            if decision.mayBeForgotten { continue }
            if command.status != decision.status || mark(command, operation) != decision.mark {
                violations.add(
                    "I11: \(operation.key) was answered \(decision), and decided \(command.status) "
                        + mark(command, operation))
            }
        }
        for (account, entries) in books.entries {
            // A refund of several charges has an entry for each, and a change of a subscription one for each line or
            // block; otherwise a key has at most one entry of each type.
            let marks = entries.compactMap { entry in
                entry.key.map { key in
                    let line = entry.subscription.map { "\($0) \(entry.line ?? -1) \(entry.period ?? -1)" } ?? ""
                    let block = entry.type == "revoke" ? entry.allocation.first?.block ?? 0 : 0
                    return "\(key) \(entry.type) \(entry.refunds ?? 0) \(line) \(block)"
                }
            }
            if Set(marks).count != marks.count { violations.add("I11: a key has two effects in account \(account)") }
        }
    }

    private func mark(_ command: Books.Command, _ operation: Operation) -> String {
        if let account = command.account, let sequence = command.sequence {
            return "\(PublicID(.usage, account: AccountID(account), number: sequence))"
        }
        guard case .decided(let decision) = Outcome(status: command.status, body: command.json) else { return "" }
        return decision.mark
    }

    /// Operations that one client sent for one end user, one after another, are in the ledger in that order.
    ///
    /// - Returns: The number of pairs that were compared.
    func orderIsKept(_ journals: [ClientJournal]) -> Int {
        var sequences: [Int64: [String: Int64]] = [:]
        for (account, entries) in books.entries {
            for entry in entries.reversed() {
                if let key = entry.key { sequences[account, default: [:]][key] = entry.sequence }
            }
        }
        let commands = Dictionary(books.commands.map { ($0.identifier, $0) }) { $1 }
        var compared = 0
        for journal in journals {
            for (endUser, records) in journal.confirmed {
                var last: (sequence: Int64, key: String)?
                for index in records {
                    let operation = journal.records[index].operation
                    guard let account = commands[operation.commandID(environments)]?.account,
                        let sequence = sequences[account]?[operation.key]
                    else { continue }
                    if let last {
                        compared += 1
                        if sequence <= last.sequence {
                            violations.add(
                                "order: \(operation.key) is entry \(sequence) of \(endUser), but \(last.key), which was "
                                    + "confirmed before, is entry \(last.sequence)")
                        }
                    }
                    last = (sequence, operation.key)
                }
            }
        }
        return compared
    }
}
