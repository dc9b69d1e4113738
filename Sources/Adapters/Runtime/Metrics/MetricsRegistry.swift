package import CoreMetrics
import Synchronization

/// The metrics of a process: a backend of the swift-metrics API that keeps every series in memory and writes them in
/// the Prometheus text format.
///
/// The roles create their metrics here by name, with a help text and, for a distribution, its buckets. A library that
/// uses swift-metrics creates its series through `makeCounter` and the like, once a program has called
/// `MetricsSystem.bootstrap(registry)`. Creating a series takes the lock of the registry. Counting takes no lock.
/// Setting a gauge and recording in a distribution take only the lock of that series.
package final class MetricsRegistry: MetricsFactory {
    /// The largest number of series of one name. Further combinations of labels share one series whose label values are
    /// all `other`, so that a label whose values come from requests cannot fill the memory.
    package static let maximumSeries = 1_000

    private struct Family {
        let kind: Kind
        let help: String
        let buckets: [Double]
        var series: [Labels: any Series] = [:]
        /// In order of creation.
        var order: [Labels] = []
    }

    private struct State {
        var families: [String: Family] = [:]
        /// In order of creation.
        var names: [String] = []
    }

    private let state = Mutex(State())

    package init() {}

    // MARK: - The roles' metrics

    /// A number that only rises.
    ///
    /// - Precondition: No metric has the name yet.
    package func counter(_ name: String, _ help: String) -> Counter {
        describe(name, .counter, help)
        return Counter(label: name, factory: self)
    }

    /// A number that is read when the metrics are shown; nil leaves it out.
    ///
    /// - Precondition: No metric has the name yet.
    package func gauge(_ name: String, _ help: String, read: @escaping @Sendable () -> Double?) {
        describe(name, .gauge, help)
        _ = series(name, .gauge, []) { _ in ReadSeries(read: read) }
    }

    /// A distribution over fixed buckets.
    ///
    /// - Precondition: No metric has the name yet.
    package func histogram(_ name: String, _ help: String, buckets: [Double]) -> Recorder {
        describe(name, .histogram, help, buckets: buckets)
        return Recorder(label: name, factory: self)
    }

    /// Sets the help text of a name, and the buckets of its distributions, before its first series is created.
    ///
    /// - Precondition: No metric has the name yet.
    package func describe(_ name: String, _ kind: Kind, _ help: String, buckets: [Double] = Kind.defaultBuckets) {
        state.withLock { state in
            precondition(state.families[name] == nil, "the metric \(name) already exists")
            state.families[name] = Family(kind: kind, help: help, buckets: buckets)
            state.names.append(name)
        }
    }

    // MARK: - The swift-metrics API

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let made = series(label, .counter, dimensions) { _ in CounterSeries() }
        return made as? CounterSeries ?? CounterSeries()
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        let made = series(label, .gauge, dimensions) { _ in GaugeSeries() }
        return made as? GaugeSeries ?? GaugeSeries()
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else {
            let made = series(label, .gauge, dimensions) { _ in GaugeSeries() }
            return made as? GaugeSeries ?? GaugeSeries()
        }
        let made = series(label, .histogram, dimensions) { HistogramSeries(bounds: $0) }
        return made as? HistogramSeries ?? HistogramSeries(bounds: [])
    }

    /// A distribution in seconds, whose name ends in `_seconds`.
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        let name = label.hasSuffix("_seconds") ? label : label + "_seconds"
        let made = series(name, .histogram, dimensions) { HistogramSeries(bounds: $0) }
        return made as? HistogramSeries ?? HistogramSeries(bounds: [])
    }

    // A series is kept for the life of the process: Prometheus would take its return at zero for a restart.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// The series of a name and its labels, created if there is none.
    ///
    /// - Returns: A series that is not shown, when the name belongs to a metric of another kind.
    private func series(
        _ label: String, _ kind: Kind, _ dimensions: [(String, String)], make: ([Double]) -> any Series
    ) -> any Series {
        let name = Labels.sanitized(label)
        let labels = Labels(dimensions)
        return state.withLock { state in
            if state.families[name] == nil {
                state.families[name] = Family(kind: kind, help: "", buckets: Kind.defaultBuckets)
                state.names.append(name)
            }
            guard var family = state.families[name], family.kind == kind else { return make([]) }
            let isFull = family.order.count >= Self.maximumSeries && family.series[labels] == nil
            let key = isFull ? labels.merged : labels
            if let known = family.series[key] { return known }
            let made = make(family.buckets)
            family.series[key] = made
            family.order.append(key)
            state.families[name] = family
            return made
        }
    }

    // MARK: - Showing

    /// All metrics in the Prometheus text format (version 0.0.4), in the order in which they were created.
    package func text() -> String {
        let families = state.withLock { state in
            state.names.compactMap { name in state.families[name].map { (name, $0) } }
        }
        var text = ""
        for (name, family) in families {
            if !family.help.isEmpty { text += "# HELP \(name) \(Labels.escapedHelp(family.help))\n" }
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for labels in family.order { family.series[labels]?.write(name, labels, to: &text) }
        }
        return text
    }
}

extension MetricsRegistry {
    /// The kind of a metric, by the names of the text format.
    package enum Kind: String, Sendable {
        case counter, gauge, histogram

        /// For distributions of libraries, which give no buckets: from 0.5 ms to 10 s.
        package static let defaultBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 10]
    }
}
