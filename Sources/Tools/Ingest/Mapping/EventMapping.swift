import Credits

/// The mapping of the columns of a row to a usage event.
///
/// A column is a name of the header line (CSV) or a top-level member (NDJSON). Rows count from 0, without the header.
package struct EventMapping: Sendable {
    package enum EndUser: Sendable, Equatable {
        case column(String)
        /// The prefix followed by the row number modulo `modulo`, for files that name no end users.
        case pattern(String, modulo: Int)
    }

    package enum Feature: Sendable, Equatable {
        case fixed(String)
        case column(String)
    }

    package enum Units: Sendable, Equatable {
        case fixed(Int64)
        /// The sum of one or more columns of non-negative integers.
        case sum(of: [String])
        /// A column of non-negative integers for each dimension, for rules with dimensions.
        case quantities([NamedColumn])
    }

    /// A column under the name that the event has for it: a dimension or an attribute.
    package struct NamedColumn: Sendable, Equatable {
        package var name: String
        package var column: String

        package init(name: String, column: String) {
            self.name = name
            self.column = column
        }
    }

    /// The time of the usage. An event without it counts as of its arrival, which is the only way to load a file that
    /// is older than the 35 days that the ledger accepts.
    package struct OccurredAt: Sendable, Equatable {
        package var column: String
        package var format: TimeFormat

        package init(column: String, format: TimeFormat) {
            self.column = column
            self.format = format
        }
    }

    package enum TimeFormat: String, Sendable, CaseIterable {
        /// `2026-01-31T12:00:00.000Z`, with any offset.
        case rfc3339
        /// `2026-01-31 12:00:00`, with or without a fraction, read as UTC.
        case utc
        /// Seconds since 1970, with or without a fraction.
        case unixSeconds = "unix-seconds"
        /// Whole milliseconds since 1970.
        case unixMilliseconds = "unix-milliseconds"
    }

    /// The source of a row's idempotency key, under which the row is charged once.
    package enum IdempotencyKey: Sendable, Equatable {
        case column(String)
        /// 32 hexadecimal digits of a digest over the header and all rows up to the row. A file that grew has the same
        /// keys for its earlier rows. Two runs that map the same file differently need different prefixes: the ledger
        /// refuses a key that is reused for another event (`idempotency_key_reuse`).
        case runningDigest
        /// `<prefix>-<row number>`. A file that grew has the same keys for its earlier rows, and a row that changed is
        /// refused.
        case rowNumber(prefix: String)
    }

    package var endUser: EndUser
    package var feature: Feature
    package var units: Units
    /// Columns that become the event's attributes. An empty or absent value is left out.
    package var attributes: [NamedColumn]
    package var occurredAt: OccurredAt?
    package var idempotencyKey: IdempotencyKey
    /// Columns that become members of the event's metadata under their own names. An empty or absent value is left out;
    /// a JSON object (NDJSON only) contributes its members instead.
    package var metadataColumns: [String]

    package init(
        endUser: EndUser, feature: Feature, units: Units, attributes: [NamedColumn] = [],
        occurredAt: OccurredAt? = nil, idempotencyKey: IdempotencyKey = .runningDigest, metadataColumns: [String] = []
    ) {
        self.endUser = endUser
        self.feature = feature
        self.units = units
        self.attributes = attributes
        self.occurredAt = occurredAt
        self.idempotencyKey = idempotencyKey
        self.metadataColumns = metadataColumns
    }

    /// The columns that a row must have, each once, in the order in which `EventMapper` expects their cells.
    var columns: [String] {
        var columns: [String] = []
        func add(_ column: String) {
            if !columns.contains(column) { columns.append(column) }
        }
        if case .column(let column) = endUser { add(column) }
        if case .column(let column) = feature { add(column) }
        switch units {
        case .fixed: break
        case .sum(let names): names.forEach(add)
        case .quantities(let dimensions): dimensions.map(\.column).forEach(add)
        }
        attributes.map(\.column).forEach(add)
        if let occurredAt { add(occurredAt.column) }
        if case .column(let column) = idempotencyKey { add(column) }
        metadataColumns.forEach(add)
        return columns
    }

    /// The mistake in the mapping, regardless of the content of the file; nil when there is none.
    var problem: String? {
        if columns.contains("") { return "A column's name must not be empty" }
        if case .pattern(let prefix, let modulo) = endUser {
            if modulo < 1 { return "The number of end users in the pattern must be at least 1" }
            if EndUserID("\(prefix)\(modulo)") == nil {
                return "The pattern does not make end user ids of 1 to 256 bytes"
            }
        }
        if case .fixed(let key) = feature, FeatureKey(key) == nil {
            return "The feature key must be 1 to 64 letters, digits, _, -, . or :"
        }
        switch units {
        case .fixed(let units) where units < 0: return "Units must not be negative"
        case .sum(let columns) where columns.isEmpty: return "Units need at least one column"
        case .sum(let columns) where Set(columns).count < columns.count: return "Units name a column twice"
        case .quantities(let dimensions):
            if let problem = Self.problem(of: dimensions, "dimension") { return problem }
        default: break
        }
        if let problem = Self.problem(of: attributes, "attribute") { return problem }
        if case .rowNumber(let prefix) = idempotencyKey,
            prefix.isEmpty || prefix.utf8.count > IngestPlan.Limit.keyPrefixBytes || prefix.utf8.contains(0)
        {
            return "The key prefix must have 1 to \(IngestPlan.Limit.keyPrefixBytes) bytes"
        }
        return nil
    }

    private static func problem(of named: [NamedColumn], _ noun: String) -> String? {
        for (index, pair) in named.enumerated() {
            guard pair.name.isCatalogueName else {
                return "The \(noun) \(pair.name) must have a name of 1 to 64 letters, digits, _, -, . or :"
            }
            if named[..<index].contains(where: { $0.name == pair.name }) {
                return "The \(noun) \(pair.name) is mapped twice"
            }
        }
        return nil
    }

    /// A warning for the person who loads the file; nil when there is none.
    package var warning: String? {
        guard case .runningDigest = idempotencyKey, occurredAt == nil else { return nil }
        return
            "The mapping has neither a time nor a key: two files that begin with the same rows look alike, and these "
            + "rows of the second file are not charged. Give each file its own --key-prefix."
    }
}

// MARK: - Spellings for a command line

extension EventMapping.EndUser {
    /// Reads `user_{row % 200}`: a prefix and the row number modulo a number. Nil when the text is not of that form.
    package init?(pattern text: String) {
        guard text.hasSuffix("}"), let brace = text.firstIndex(of: "{") else { return nil }
        let inner = text[text.index(after: brace)...].dropLast().filter { $0 != " " }
        guard inner.hasPrefix("row%"), let modulo = Int(inner.dropFirst(4)), modulo > 0 else { return nil }
        self = .pattern(String(text[..<brace]), modulo: modulo)
    }
}

extension EventMapping.Units {
    /// Reads `ContextTokens+GeneratedTokens`: column names separated by plus signs. Nil when a name is empty.
    package init?(sum text: String) {
        let columns = text.split(separator: "+", omittingEmptySubsequences: false).map(String.init)
        guard !columns.contains("") else { return nil }
        self = .sum(of: columns)
    }
}

extension EventMapping.NamedColumn {
    /// Reads `input_tokens=ContextTokens`: a name and a column, separated by the first equals sign. Nil when one is
    /// empty.
    package init?(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, !parts.contains("") else { return nil }
        self.init(name: parts[0], column: parts[1])
    }
}
