import JSON

/// The result of one check: a statement, and what to do about it.
package struct Finding: Hashable, Sendable {
    package enum Section: String, Sendable, CaseIterable {
        case configuration, postgresql, rabbitmq, nodes, commands

        var title: String {
            switch self {
            case .configuration: "Configuration"
            case .postgresql: "PostgreSQL"
            case .rabbitmq: "RabbitMQ"
            case .nodes: "Nodes"
            case .commands: "Commands"
            }
        }
    }

    package enum Level: String, Sendable {
        case ok
        /// It works, but may fail later or could work better.
        case warning
        /// Something does not work, or data can be lost.
        case problem
    }

    package let section: Section
    package let level: Level
    package let text: String
    /// The remedy, as a sentence; nil when there is nothing to do.
    package let remedy: String?

    package static func ok(_ section: Section, _ text: String) -> Finding {
        Finding(section: section, level: .ok, text: text, remedy: nil)
    }

    package static func warning(_ section: Section, _ text: String, remedy: String) -> Finding {
        Finding(section: section, level: .warning, text: text, remedy: remedy)
    }

    package static func problem(_ section: Section, _ text: String, remedy: String) -> Finding {
        Finding(section: section, level: .problem, text: text, remedy: remedy)
    }
}

/// All findings about an installation, as `quotastack doctor` shows them.
package struct Diagnosis: Hashable, Sendable {
    package let findings: [Finding]

    package init(_ findings: [Finding]) {
        self.findings = findings
    }

    /// True when no finding is a problem; warnings are allowed.
    package var isHealthy: Bool { !findings.contains { $0.level == .problem } }

    /// One line per finding, grouped by section, and a last line with the numbers of problems and warnings.
    package var text: String {
        var lines: [String] = []
        for section in Finding.Section.allCases {
            let own = findings.filter { $0.section == section }
            guard !own.isEmpty else { continue }
            lines.append(section.title)
            for finding in own {
                let level = finding.level.rawValue
                let padding = String(repeating: " ", count: 9 - level.count)
                lines.append("  \(level)\(padding)\(finding.text)" + (finding.remedy.map { ". \($0)" } ?? ""))
            }
        }
        let problems = findings.count { $0.level == .problem }
        let warnings = findings.count { $0.level == .warning }
        lines.append("\(Self.count(problems, "problem")), \(Self.count(warnings, "warning"))")
        return lines.joined(separator: "\n")
    }

    private static func count(_ number: Int, _ noun: String) -> String {
        "\(number == 0 ? "no" : "\(number)") \(noun)\(number == 1 ? "" : "s")"
    }

    /// The diagnosis as JSON: `{"healthy", "findings": [{"section", "level", "text", "remedy"}]}`.
    package var json: [UInt8] {
        var json = JSONWriter()
        json.beginObject()
        json.member("healthy", isHealthy)
        json.key("findings")
        json.beginArray()
        for finding in findings {
            json.beginObject()
            json.member("section", finding.section.rawValue)
            json.member("level", finding.level.rawValue)
            json.member("text", finding.text)
            json.member("remedy", finding.remedy)
            json.endObject()
        }
        json.endArray()
        json.endObject()
        return json.bytes
    }
}
