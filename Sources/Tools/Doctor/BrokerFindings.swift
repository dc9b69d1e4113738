import Messaging

/// What was seen of a broker.
package struct BrokerFacts: Hashable, Sendable {
    package struct Queue: Hashable, Sendable {
        package enum State: Hashable, Sendable {
            case there(ready: Int, consumers: Int)
            case missing
            /// The broker does not let us look, in its own words.
            case refused(String)
        }

        package let name: String
        package let state: State

        package init(name: String, state: State) {
            self.name = name
            self.state = state
        }
    }

    package let queues: [Queue]
    /// The broker's words when it takes no messages.
    package let alarm: String?

    package init(queues: [Queue], alarm: String?) {
        self.queues = queues
        self.alarm = alarm
    }
}

extension Finding {
    /// What is to be said about a broker and the queues of an installation. Queues in order are one finding.
    package static func about(_ facts: BrokerFacts) -> [Finding] {
        var findings: [Finding] = []
        if let alarm = facts.alarm {
            findings.append(
                problem(
                    .rabbitmq, "the broker takes no messages: \(alarm)",
                    remedy: "Give its machine memory or disk: see rabbitmq-diagnostics alarms."))
        } else {
            findings.append(ok(.rabbitmq, "reachable, and takes messages"))
        }
        let queueFindings = facts.queues.compactMap { about($0) }
        if queueFindings.isEmpty {
            let waiting = facts.queues.reduce(0) { sum, queue in
                if case .there(let ready, _) = queue.state { sum + ready } else { sum }
            }
            findings.append(
                ok(.rabbitmq, "\(facts.queues.count) queues with one consumer each; \(waiting) messages wait"))
        }
        return findings + queueFindings
    }

    /// Nil for a queue with nothing to be said about.
    private static func about(_ queue: BrokerFacts.Queue) -> Finding? {
        let name = queue.name
        switch queue.state {
        case .missing:
            return problem(.rabbitmq, "the queue \(name) is missing", remedy: "Run quotastack migrate.")
        case .refused(let words):
            return problem(
                .rabbitmq, "the queue \(name) cannot be looked at: \(singleLine(words))",
                remedy: "Give the user of AMQP_URL its rights: see rabbitmqctl list_permissions.")
        case .there(let ready, let consumers):
            let text = "queue \(name): \(ready) messages wait, \(consumers) consumers"
            if ready * 10 >= Topology.maximumQueueLength * 8 {
                return problem(
                    .rabbitmq, "\(text): it is nearly full, and then refuses commands",
                    remedy: "Start more ledger workers, or look at why they are slow.")
            }
            if consumers == 0 {
                return problem(
                    .rabbitmq, "\(text): nobody applies its commands",
                    remedy:
                        "Start quotastack-ledger or quotastack up; a worker that has just started needs some seconds.")
            }
            if consumers > 1 {
                return warning(
                    .rabbitmq, text,
                    remedy: "One is enough; two are usual for seconds while workers come and go, and harmless.")
            }
            if ready > 10_000 {
                return warning(
                    .rabbitmq, text, remedy: "Commands take long to apply: look at the ledger workers and PostgreSQL.")
            }
            return nil
        }
    }
}
