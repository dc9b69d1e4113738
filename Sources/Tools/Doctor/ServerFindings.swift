package import Storage

extension Finding {
    /// Findings about a PostgreSQL server.
    ///
    /// - Parameter missingMigrations: Migrations of this release that the database lacks.
    package static func about(_ facts: ServerFacts, missingMigrations: [String]) -> [Finding] {
        [version(facts)] + settings(facts) + [migrations(missingMigrations)] + roles(facts) + connections(facts)
            + standbys(facts) + slots(facts)
    }

    /// Findings about the standbys that a primary waits for. A server without any is no finding.
    private static func standbys(_ facts: ServerFacts) -> [Finding] {
        guard let names = facts.settings["synchronous_standby_names"], !names.isEmpty else { return [] }
        var findings: [Finding] = []
        switch facts.synchronousStandbys {
        case nil:
            findings.append(ok(.postgresql, "commits wait for a standby (\(names)), which this login may not see"))
        case 0?:
            findings.append(
                problem(
                    .postgresql,
                    "commits wait for a standby (\(names)), and none is connected: mutations are not decided",
                    remedy: "Start the standby, or let Patroni go on without it: see patronictl list."))
        case let count?:
            findings.append(
                ok(.postgresql, count == 1 ? "1 standby confirms commits" : "\(count) standbys confirm commits"))
        }
        if ["1min", "60s", "0"].contains(facts.settings["wal_sender_timeout"] ?? "") {
            findings.append(
                warning(
                    .postgresql,
                    "wal_sender_timeout=\(facts.settings["wal_sender_timeout"] ?? ""): a silent standby stops commits for that long",
                    remedy: "Set wal_sender_timeout and wal_receiver_timeout to 10s, and reload."))
        }
        return findings
    }

    private static func version(_ facts: ServerFacts) -> Finding {
        let version = "version \(facts.versionNumber / 10_000).\(facts.versionNumber % 10_000), login \(facts.login)"
        if facts.isStandby {
            return problem(
                .postgresql, "\(version), a standby", remedy: "DATABASE_URL must name the primary, which takes writes.")
        }
        guard facts.versionNumber >= 150_000 else {
            return problem(.postgresql, version, remedy: "PostgreSQL 15 or later is required.")
        }
        return ok(.postgresql, version)
    }

    private static func settings(_ facts: ServerFacts) -> [Finding] {
        var findings: [Finding] = []
        let level = facts.settings["wal_level"] ?? "?"
        findings.append(
            level == "logical"
                ? ok(.postgresql, "wal_level=logical")
                : problem(
                    .postgresql, "wal_level=\(level)",
                    remedy: "Replicas need wal_level=logical in postgresql.conf, and a restart of the server."))
        let kept = facts.settings["max_slot_wal_keep_size"] ?? "?"
        findings.append(
            kept == "-1"
                ? warning(
                    .postgresql, "max_slot_wal_keep_size is unlimited: a node that hangs can fill the server's disk",
                    remedy: "Set it to a size that fits on the disk, such as 10GB, and reload.")
                : ok(.postgresql, "max_slot_wal_keep_size=\(kept)"))
        for (name, harm) in [
            ("fsync", "a crash of the machine can destroy the database"),
            ("full_page_writes", "a crash of the machine can destroy the database"),
            ("synchronous_commit", "a crash can lose acknowledged commands"),
        ] where facts.settings[name] == "off" {
            findings.append(problem(.postgresql, "\(name)=off: \(harm)", remedy: "Turn it on."))
        }
        if facts.settings["data_checksums"] == "off" {
            findings.append(
                warning(
                    .postgresql, "data_checksums=off: a damaged page is not detected",
                    remedy: "Stop the server and run pg_checksums --enable."))
        }
        return findings
    }

    private static func migrations(_ missing: [String]) -> Finding {
        missing.isEmpty
            ? ok(.postgresql, "the schema is that of this release")
            : problem(
                .postgresql, "the database lacks the migrations \(missing.joined(separator: ", "))",
                remedy: "Run quotastack migrate as the owner.")
    }

    private static func roles(_ facts: ServerFacts) -> [Finding] {
        let missing = facts.roles.filter { !$0.exists }.map(\.role.rawValue)
        guard missing.isEmpty else {
            return [
                problem(
                    .postgresql, "the server lacks the roles \(missing.joined(separator: ", "))",
                    remedy: "Run quotastack migrate as the owner.")
            ]
        }
        let granted = facts.roles.filter(\.isGranted).map(\.role.rawValue)
        guard !granted.isEmpty else {
            return [
                warning(
                    .postgresql, "\(facts.login) is a member of none of the roles",
                    remedy: "As the owner or an administrator, grant it the role of its process.")
            ]
        }
        return [ok(.postgresql, "\(facts.login) may act as \(granted.joined(separator: ", "))")]
    }

    private static func connections(_ facts: ServerFacts) -> [Finding] {
        guard let maximum = facts.settings["max_connections"].flatMap({ Int64($0) }) else { return [] }
        let text = "\(facts.connections) of \(maximum) connections in use"
        if facts.connections * 10 >= maximum * 8 {
            return [
                warning(
                    .postgresql, text,
                    remedy: "Raise max_connections, or lower QUOTASTACK_READ_CONNECTIONS or the number of nodes.")
            ]
        }
        return [ok(.postgresql, text)]
    }

    private static func slots(_ facts: ServerFacts) -> [Finding] {
        var findings = facts.slots.map { slot -> Finding in
            let kept = slot.keptBytes.map { "retains \(bytes($0)) of WAL" } ?? "retains no WAL"
            let lag = slot.lagBytes.map { ", is \(bytes($0)) behind" } ?? ""
            let text = "slot \(slot.name) \(kept)\(lag)"
            switch (slot.walStatus, slot.isActive) {
            case ("lost", _):
                return problem(
                    .postgresql, "slot \(slot.name) is lost: the WAL that its reader needs was removed",
                    remedy:
                        "Nodes reload by themselves; for other readers call pg_drop_replication_slot('\(slot.name)')."
                )
            case ("unreserved", _):
                return warning(
                    .postgresql, "\(text), more than max_slot_wal_keep_size: the next checkpoint can remove it",
                    remedy: "Check the load of its reader, or raise max_slot_wal_keep_size.")
            case (_, false):
                return warning(
                    .postgresql, "\(text), and has no reader",
                    remedy: "If its reader does not come back, select pg_drop_replication_slot('\(slot.name)').")
            default:
                guard slot.lagBytes ?? 0 < 256 << 20 else {
                    return warning(
                        .postgresql, text,
                        remedy: "Its node answers checks with old balances: check the load of its machine.")
                }
                return ok(.postgresql, text)
            }
        }
        if !facts.slots.contains(where: { $0.name.hasPrefix("quotastack_") && $0.isActive }) {
            findings.append(
                warning(
                    .postgresql, "no node follows the database",
                    remedy: "Start quotastack-api, quotastack-entitlements or quotastack up."))
        }
        return findings
    }

    /// A size as text, such as `1.5 GB`; the units are powers of 1,024.
    static func bytes(_ count: Int64) -> String {
        var value = count * 10
        var unit = 0
        let units = ["B", "kB", "MB", "GB", "TB"]
        while value >= 10_240, unit < units.count - 1 {
            value /= 1_024
            unit += 1
        }
        let fraction = unit > 0 && value < 1_000 ? ".\(value % 10)" : ""
        return "\(value / 10)\(fraction) \(units[unit])"
    }
}
