/// The answer of one of several hosts of a URL.
package struct HostFacts: Hashable, Sendable {
    package enum Answer: Hashable, Sendable {
        case primary
        case standby
        /// A node of the broker.
        case broker
        case silent(String)
    }

    package let host: String
    package let answer: Answer

    package init(host: String, answer: Answer) {
        self.host = host
        self.answer = answer
    }
}

extension Finding {
    /// Findings about the hosts of a URL. A URL with one host has other findings about it.
    package static func about(_ hosts: [HostFacts], of section: Finding.Section) -> [Finding] {
        guard hosts.count > 1 else { return [] }
        var findings = hosts.map { facts in
            switch facts.answer {
            case .primary: ok(section, "\(facts.host) takes writes")
            case .standby: ok(section, "\(facts.host) is a standby")
            case .broker: ok(section, "\(facts.host) answers")
            case .silent(let words):
                warning(
                    section, "\(facts.host) does not answer: \(singleLine(words))",
                    remedy: "Start it: until then the loss of another server stops mutations.")
            }
        }
        let primaries = hosts.count { $0.answer == .primary }
        if primaries > 1 {
            findings.append(
                problem(
                    section, "\(primaries) servers take writes",
                    remedy: "Stop all but one at once: their ledgers differ. Patroni's log says why."))
        }
        return findings
    }
}
