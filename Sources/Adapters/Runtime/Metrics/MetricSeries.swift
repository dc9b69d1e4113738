import CoreMetrics
import Synchronization

/// One series of a metric: a name with one combination of labels.
protocol Series: AnyObject, Sendable {
    /// Appends the lines of the series in the Prometheus text format.
    func write(_ name: String, _ labels: Labels, to text: inout String)
}

final class CounterSeries: Series, CounterHandler {
    private let count = Atomic<Int64>(0)

    func increment(by amount: Int64) { count.wrappingAdd(amount, ordering: .relaxed) }

    func reset() { count.store(0, ordering: .relaxed) }

    func write(_ name: String, _ labels: Labels, to text: inout String) {
        text += "\(name)\(labels.text()) \(count.load(ordering: .relaxed))\n"
    }
}

/// A number that is set.
final class GaugeSeries: Series, MeterHandler, RecorderHandler {
    private let value = Mutex(0.0)

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { self.value.withLock { $0 = value } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }

    func write(_ name: String, _ labels: Labels, to text: inout String) {
        text += "\(name)\(labels.text()) \(numberText(value.withLock { $0 }))\n"
    }
}

/// A number that is read when the metrics are shown.
final class ReadSeries: Series {
    private let read: @Sendable () -> Double?

    init(read: @escaping @Sendable () -> Double?) {
        self.read = read
    }

    func write(_ name: String, _ labels: Labels, to text: inout String) {
        if let value = read() { text += "\(name)\(labels.text()) \(numberText(value))\n" }
    }
}

/// Counts of observations up to each bound.
final class HistogramSeries: Series, RecorderHandler, TimerHandler {
    private struct State {
        var counts: [Int64]
        var sum = 0.0
    }

    private let bounds: [Double]
    private let state: Mutex<State>

    /// - Parameter bounds: Ascending. A last bucket without a bound is added.
    init(bounds: [Double]) {
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    /// Recorded in seconds, Prometheus's unit of duration.
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func preferDisplayUnit(_ unit: TimeUnit) {}

    func write(_ name: String, _ labels: Labels, to text: inout String) {
        let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
        var total: Int64 = 0
        for (index, count) in counts.enumerated() {
            total += count
            let bound = index < bounds.count ? numberText(bounds[index]) : "+Inf"
            text += "\(name)_bucket\(labels.text(and: ("le", bound))) \(total)\n"
        }
        text += "\(name)_sum\(labels.text()) \(numberText(sum))\n\(name)_count\(labels.text()) \(total)\n"
    }
}

/// A number in the text format. A whole number has no fraction.
private func numberText(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    return value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
}
