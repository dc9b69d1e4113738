import Credits
import Ledger
import Testing

/// A test case of the ledger as a script, one statement per line:
///
/// ```
/// price tokens 3 per 1000            # see `Syntax.price` for the other models; an optional `from <instant>`
/// feature seats limit                # a kind; or a quota, as in `feature mails quota 5/day` or `5/day/first_use`
/// archive tokens
/// at 2026-04-12                      # sets the clock, which begins at 2026-04-12
/// grant alice 100 p1 +30d as first   # priority, expiry (an instant or a duration), name; `only a,b`, a source, a price
/// use alice 40 -> ok                 # of `api`, 1 mc a unit; or `use alice 40 tokens occurred -1d with model=large`
/// check alice 61 -> insufficient_credits
/// balance alice 60
/// ```
///
/// An instant is a date, an RFC 3339 text, or an offset from the clock such as `+30d`, `-1us` or `+35d-1us`. The words
/// after `->` are the outcome; without them, a command must succeed. Blocks have their given names, or `b1`, `b2`, …;
/// reservations are `r1`, `r2`, …, entries `e1`, `e2`, …. A demand is a number of units, quantities such as
/// `in=5,out=6`, or credits such as `40cr`. A reservation over several features is `reserve alice 40cr over a,b`, and
/// its reports name one of them, as in `progress alice r1 10 of a`. `Syntax.command` reads the commands,
/// `LedgerRunner.look` the reads.
struct LedgerScript {
    struct Statement {
        let line: Int
        let text: String
        let verb: String
        /// The words after the verb, up to the arrow.
        let words: [String]
        /// The words after the arrow.
        let outcome: [String]?
    }

    let statements: [Statement]

    init(_ text: String) {
        var statements: [Statement] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let code = line.prefix { $0 != "#" }
            let words = code.split(separator: " ").map(String.init)
            guard let verb = words.first else { continue }
            let arrow = words.firstIndex(of: "->")
            statements.append(
                Statement(
                    line: index + 1, text: words.joined(separator: " "), verb: verb,
                    words: Array(words[1..<(arrow ?? words.count)]),
                    outcome: arrow.map { Array(words[($0 + 1)...]) }))
        }
        self.statements = statements
    }
}

/// A statement that is not valid in the script language.
struct ScriptError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// The words of one statement, read from the left.
struct Words {
    private var words: ArraySlice<String>

    init(_ words: [String]) {
        self.words = words[...]
    }

    var isEmpty: Bool { words.isEmpty }
    var next: String? { words.first }
    /// Whether a block's name and an amount follow.
    var isShare: Bool {
        guard let amount = words.dropFirst().first, Int64(amount) != nil else { return false }
        return !["balance", "reserved", "overage", "forfeited", "units", "added", "version"].contains(words.first)
    }

    mutating func word(_ what: String) throws -> String {
        guard let word = words.popFirst() else { throw ScriptError("\(what) is missing") }
        return word
    }

    mutating func number(_ what: String) throws -> Int64 {
        let word = try word(what)
        if word == "max" { return Millicredits.limit }
        guard let number = Int64(word.filter { $0 != "_" }) else { throw ScriptError("\(word) is no \(what)") }
        return number
    }

    mutating func take(_ keyword: String) -> Bool {
        guard words.first == keyword else { return false }
        words.removeFirst()
        return true
    }

    mutating func instant(_ clock: Instant) throws -> Instant {
        let word = try word("an instant")
        guard let instant = Self.instant(word, clock: clock) else { throw ScriptError("\(word) is no instant") }
        return instant
    }

    func end() throws {
        if let word = words.first { throw ScriptError("\(word) is not understood") }
    }

    /// A date, an RFC 3339 text, or signed durations that are added to the clock.
    static func instant(_ word: String, clock: Instant) -> Instant? {
        guard !word.isEmpty else { return nil }
        if let instant = Instant(rfc3339: word) ?? Instant(rfc3339: word + "T00:00:00Z") { return instant }
        let units: [String: Int64] = [
            "us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000,
        ]
        var rest = Substring(word)
        var microseconds = clock.microseconds
        while let sign = rest.popFirst() {
            let digits = rest.prefix(while: \.isNumber)
            let unit = rest.dropFirst(digits.count).prefix(while: \.isLetter)
            guard sign == "+" || sign == "-", let number = Int64(digits), let length = units[String(unit)] else {
                return nil
            }
            microseconds += (sign == "-" ? -1 : 1) * number * length
            rest = rest.dropFirst(digits.count + unit.count)
        }
        return Instant(microseconds: microseconds)
    }
}

/// Runs a script and records an issue at the test for every statement that does not hold.
///
/// In addition to the script's statements, every command must keep the invariants: see `LedgerRunner.run`.
func ledger(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    var runner = try LedgerRunner()
    for statement in LedgerScript(text).statements {
        do {
            for problem in try runner.run(statement) {
                Issue.record("line \(statement.line), \(statement.text): \(problem)", sourceLocation: sourceLocation)
            }
        } catch {
            Issue.record("line \(statement.line), \(statement.text): \(error)", sourceLocation: sourceLocation)
            return
        }
    }
}
