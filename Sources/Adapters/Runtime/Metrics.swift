import Synchronization

/// The process's metrics, in the Prometheus text format. Names are registered once, at the start.
package final class Metrics: Sendable {
    private let families = Mutex<[Family]>([])

    private struct Family {
        let name: String
        let help: String
        let type: String
        let render: @Sendable (String) -> String
    }

    package init() {}

    /// A number that only rises.
    package func counter(_ name: String, _ help: String) -> Counter {
        let counter = Counter()
        register(name, help, type: "counter") { "\($0) \(counter.value)\n" }
        return counter
    }

    /// A number that is asked for when it is shown; nil leaves it out.
    package func gauge(_ name: String, _ help: String, read: @escaping @Sendable () -> Double?) {
        register(name, help, type: "gauge") { name in read().map { "\(name) \(format($0))\n" } ?? "" }
    }

    /// A distribution over fixed buckets.
    ///
    /// - Parameter labels: Label text without braces, such as `route="/v1/usage"`, or empty.
    package func histogram(
        _ name: String, _ help: String, labels: String = "", buckets: [Double]
    ) -> Histogram {
        let histogram = Histogram(bounds: buckets)
        register(name, help, type: "histogram") { histogram.text(name: $0, labels: labels) }
        return histogram
    }

    private func register(_ name: String, _ help: String, type: String, render: @escaping @Sendable (String) -> String)
    {
        families.withLock { $0.append(Family(name: name, help: help, type: type, render: render)) }
    }

    /// All metrics; families of one name stand together under one heading.
    package func text() -> String {
        let families = families.withLock { $0 }
        var order: [String] = []
        var bodies: [String: String] = [:]
        for family in families {
            if bodies[family.name] == nil {
                order.append(family.name)
                bodies[family.name] = "# HELP \(family.name) \(family.help)\n# TYPE \(family.name) \(family.type)\n"
            }
            bodies[family.name, default: ""] += family.render(family.name)
        }
        return order.compactMap { bodies[$0] }.joined()
    }
}

/// A number that only rises.
package final class Counter: Sendable {
    private let count = Atomic<Int64>(0)

    package func increment(by amount: Int64 = 1) {
        count.wrappingAdd(amount, ordering: .relaxed)
    }

    package var value: Int64 { count.load(ordering: .relaxed) }
}

/// Counts of observations up to each bound.
package final class Histogram: Sendable {
    private struct State {
        var counts: [Int64]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    package func observe(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    fileprivate func text(name: String, labels: String) -> String {
        let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
        let prefix = labels.isEmpty ? "" : labels + ","
        let suffix = labels.isEmpty ? "" : "{\(labels)}"
        var text = ""
        var total: Int64 = 0
        for (index, count) in counts.enumerated() {
            total += count
            let bound = index < bounds.count ? format(bounds[index]) : "+Inf"
            text += "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(total)\n"
        }
        return text + "\(name)_sum\(suffix) \(format(sum))\n\(name)_count\(suffix) \(total)\n"
    }
}

/// Whole numbers without a fraction.
private func format(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
}

extension Duration {
    /// The duration as a fractional number of seconds, for showing.
    package var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
