package import Storage

extension Finding {
    /// What is to be said about an installation's work.
    ///
    /// - Parameter overdueAccounts: Nil when they could not be counted in the time that there was.
    package static func about(_ facts: OperationFacts, overdueAccounts: Int64?) -> [Finding] {
        transactions(facts) + [workers(facts), scheduler(facts), parked(facts), overdue(overdueAccounts)]
    }

    private static func transactions(_ facts: OperationFacts) -> [Finding] {
        var findings = facts.longTransactions.map { transaction in
            warning(
                .postgresql,
                "process \(transaction.processID) (\(transaction.application)) has had a transaction open for "
                    + "\(transaction.seconds) s: nothing that was deleted since is cleared away",
                remedy: "If it is not at work, select pg_terminate_backend(\(transaction.processID)).")
        }
        if findings.isEmpty, facts.seesAllTransactions {
            findings.append(ok(.postgresql, "no transaction has been open for more than a minute"))
        }
        if !facts.seesAllTransactions {
            findings.append(
                warning(
                    .postgresql, "others' open transactions cannot be seen",
                    remedy: "As an administrator: grant pg_read_all_stats to \(DatabaseRole.operator.rawValue)."))
        }
        return findings
    }

    private static func workers(_ facts: OperationFacts) -> Finding {
        facts.workers > 0
            ? ok(.commands, "\(facts.workers) ledger worker\(facts.workers == 1 ? "" : "s") at work")
            : problem(
                .commands, "no ledger worker is at work: commands wait in the queues",
                remedy: "Start quotastack-ledger or quotastack up.")
    }

    private static func scheduler(_ facts: OperationFacts) -> Finding {
        facts.hasScheduler
            ? ok(.commands, "a scheduler is at work")
            : warning(
                .commands, "no scheduler is at work: what time does to an account is written with its next command",
                remedy: "Start quotastack-scheduler or quotastack up; balances and checks are right all the same.")
    }

    private static func parked(_ facts: OperationFacts) -> Finding {
        guard let parked = facts.parked else { return ok(.commands, "no command is parked") }
        let noun = parked.count == 1 ? "1 command is" : "\(parked.count) commands are"
        return problem(
            .commands,
            "\(noun) parked, the newest (parked_id \(parked.newestID)) with: \(singleLine(parked.newestError))",
            remedy:
                "Remove the cause, let the client repeat the request with its key, and delete the row of parked_commands."
        )
    }

    private static func overdue(_ count: Int64?) -> Finding {
        switch count {
        case nil:
            warning(
                .commands, "the accounts that are overdue could not be counted in time",
                remedy: "Try again when the database has less to do.")
        case 0?: ok(.commands, "no account has been due for more than a minute")
        case let count?:
            warning(
                .commands,
                "\(count == 10_000 ? "10000 or more" : "\(count)") accounts have been due for more than a minute",
                remedy:
                    "Look for a scheduler, a ledger worker and parked commands; balances and checks are right all the same."
            )
        }
    }

    /// A server's words, without line breaks and not without end.
    static func singleLine(_ text: String) -> String {
        let line = String(text.map { $0.isNewline ? " " : $0 })
        return line.count > 300 ? "\(line.prefix(300))…" : line
    }
}
