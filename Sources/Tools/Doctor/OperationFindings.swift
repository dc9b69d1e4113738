package import Storage

extension Finding {
    /// Findings about the transactions, the workers, the scheduler and the commands of an installation.
    ///
    /// - Parameter overdueAccounts: Nil when the accounts could not be counted in the time allowed.
    package static func about(_ facts: OperationFacts, overdueAccounts: Int64?) -> [Finding] {
        transactions(facts) + [workers(facts), scheduler(facts), parked(facts), overdue(overdueAccounts)]
    }

    private static func transactions(_ facts: OperationFacts) -> [Finding] {
        var findings = facts.longTransactions.map { transaction in
            warning(
                .postgresql,
                "process \(transaction.processID) (\(transaction.application)) has had a transaction open for "
                    + "\(transaction.seconds) s: vacuum cannot remove rows deleted since then",
                remedy: "If it is not needed, select pg_terminate_backend(\(transaction.processID)).")
        }
        if findings.isEmpty, facts.seesAllTransactions {
            findings.append(ok(.postgresql, "no transaction has been open for more than a minute"))
        }
        if !facts.seesAllTransactions {
            findings.append(
                warning(
                    .postgresql, "the open transactions of other roles cannot be seen",
                    remedy: "As an administrator: grant pg_read_all_stats to \(DatabaseRole.operator.rawValue)."))
        }
        return findings
    }

    private static func workers(_ facts: OperationFacts) -> Finding {
        facts.workers > 0
            ? ok(.commands, "\(facts.workers) ledger worker\(facts.workers == 1 ? "" : "s") running")
            : problem(
                .commands, "no ledger worker is running: commands wait in the queues",
                remedy: "Start quotastack-ledger or quotastack up.")
    }

    private static func scheduler(_ facts: OperationFacts) -> Finding {
        facts.hasScheduler
            ? ok(.commands, "a scheduler is running")
            : warning(
                .commands, "no scheduler is running: expiries are recorded only with an account's next command",
                remedy: "Start quotastack-scheduler or quotastack up; balances and checks stay correct.")
    }

    private static func parked(_ facts: OperationFacts) -> Finding {
        guard let parked = facts.parked else { return ok(.commands, "no command is parked") }
        let noun = parked.count == 1 ? "1 command is" : "\(parked.count) commands are"
        return problem(
            .commands,
            "\(noun) parked, the newest (parked_id \(parked.newestID)) with: \(singleLine(parked.newestError))",
            remedy:
                "Remove the cause, let the client retry with its idempotency key, and delete the parked_commands row."
        )
    }

    private static func overdue(_ count: Int64?) -> Finding {
        switch count {
        case nil:
            warning(
                .commands, "the overdue accounts could not be counted in time",
                remedy: "Try again when the database is less busy.")
        case 0?: ok(.commands, "no account has been due for more than a minute")
        case let count?:
            warning(
                .commands,
                "\(count == 10_000 ? "10000 or more" : "\(count)") accounts have been due for more than a minute",
                remedy:
                    "Check the scheduler, the ledger workers and the parked commands; balances and checks stay correct."
            )
        }
    }

    /// A text without line breaks, cut after 300 characters.
    static func singleLine(_ text: String) -> String {
        let line = String(text.map { $0.isNewline ? " " : $0 })
        return line.count > 300 ? "\(line.prefix(300))…" : line
    }
}
