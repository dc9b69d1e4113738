import Messaging

/// The observed state of a broker.
package struct BrokerFacts: Hashable, Sendable {
    package struct Queue: Hashable, Sendable {
        package enum State: Hashable, Sendable {
            case there(ready: Int, consumers: Int)
            case missing
            /// The broker refuses to show the queue, for the reason that it gives.
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
    /// The reason why the broker accepts no messages; nil when it accepts them.
    package let alarm: String?

    package init(queues: [Queue], alarm: String?) {
        self.queues = queues
        self.alarm = alarm
    }
}

extension Finding {
    /// Findings about a broker and the queues of an installation. When all queues are in order, one finding covers
    /// them.
    package static func about(_ facts: BrokerFacts) -> [Finding] {
        var findings: [Finding] = []
        if let alarm = facts.alarm {
            findings.append(
                problem(
                    .rabbitmq, "the broker accepts no messages: \(alarm)",
                    remedy: "Free memory or disk space on its machine: see rabbitmq-diagnostics alarms."))
        } else {
            findings.append(ok(.rabbitmq, "reachable, and accepts messages"))
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

    /// The finding about one queue; nil when the queue is in order.
    private static func about(_ queue: BrokerFacts.Queue) -> Finding? {
        let name = queue.name
        switch queue.state {
        case .missing:
            return problem(.rabbitmq, "the queue \(name) is missing", remedy: "Run quotastack migrate.")
        case .refused(let words):
            return problem(
                .rabbitmq, "the queue \(name) cannot be inspected: \(singleLine(words))",
                remedy: "Grant the user of AMQP_URL access to it: see rabbitmqctl list_permissions.")
        case .there(let ready, let consumers):
            let text = "queue \(name): \(ready) messages wait, \(consumers) consumers"
            if ready * 10 >= Topology.maximumQueueLength * 8 {
                return problem(
                    .rabbitmq, "\(text): it is nearly full, and a full queue refuses commands",
                    remedy: "Start more ledger workers, or find out why they are slow.")
            }
            if consumers == 0 {
                return problem(
                    .rabbitmq, "\(text): no ledger worker applies its commands",
                    remedy:
                        "Start quotastack-ledger or quotastack up; a worker that has just started needs a few seconds.")
            }
            if consumers > 1 {
                return warning(
                    .rabbitmq, text,
                    remedy: "One is enough. Two are normal for a few seconds while workers start and stop.")
            }
            if ready > 10_000 {
                return warning(
                    .rabbitmq, text, remedy: "Commands are applied slowly: check the ledger workers and PostgreSQL.")
            }
            return nil
        }
    }
}
