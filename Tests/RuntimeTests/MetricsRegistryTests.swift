import CoreMetrics
import Runtime
import Testing

@Suite("Metrics registry")
struct MetricsRegistryTests {
    @Test("every kind of metric is written in the Prometheus text format, in the order of creation")
    func text() {
        let registry = MetricsRegistry()
        let requests = registry.counter("requests_total", "Requests \\ by\nday.")
        registry.gauge("age_seconds", "Age.") { 1.5 }
        registry.gauge("unknown", "Left out.") { nil }
        let sizes = registry.histogram("sizes", "Sizes.", buckets: [1, 2.5])
        requests.increment(by: 3)
        for size in [1, 2, 3] { sizes.record(size) }
        #expect(
            registry.text() == """
                # HELP requests_total Requests \\\\ by\\nday.
                # TYPE requests_total counter
                requests_total 3
                # HELP age_seconds Age.
                # TYPE age_seconds gauge
                age_seconds 1.5
                # HELP unknown Left out.
                # TYPE unknown gauge
                # HELP sizes Sizes.
                # TYPE sizes histogram
                sizes_bucket{le="1"} 1
                sizes_bucket{le="2.5"} 2
                sizes_bucket{le="+Inf"} 3
                sizes_sum 6
                sizes_count 3

                """)
    }

    @Test("a library's metrics appear under valid names, with its labels in order and escaped")
    func libraries() {
        let registry = MetricsRegistry()
        let labels = [("path", "a\"b\\c\nd"), ("1method", "GET")]
        Counter(label: "lib.requests", dimensions: labels, factory: registry).increment()
        Counter(label: "lib.requests", dimensions: labels.reversed(), factory: registry).increment()
        Gauge(label: "lib-depth", factory: registry).record(7)
        Meter(label: "lib level", factory: registry).set(-0.5)
        CoreMetrics.Timer(label: "lib.time", factory: registry).recordMilliseconds(20)
        let text = registry.text()
        #expect(text.contains(#"lib_requests{_method="GET",path="a\"b\\c\nd"} 2"# + "\n"))
        #expect(text.contains("lib_depth 7\n"))
        #expect(text.contains("lib_level -0.5\n"))
        #expect(text.contains("# TYPE lib_time_seconds histogram\n"))
        #expect(text.contains("lib_time_seconds_bucket{le=\"0.02\"} 1\n"))
        #expect(text.contains("lib_time_seconds_sum 0.02\n"))
    }

    @Test("one name has one kind: a metric of another kind counts and is not shown")
    func otherKind() {
        let registry = MetricsRegistry()
        registry.counter("a", "A.").increment()
        Gauge(label: "a", factory: registry).record(5)
        #expect(registry.text() == "# HELP a A.\n# TYPE a counter\na 1\n")
    }

    @Test("the series of a name beyond the thousandth are counted together")
    func bound() {
        let registry = MetricsRegistry()
        for number in 0..<1_500 {
            Counter(label: "paths", dimensions: [("path", "/\(number)")], factory: registry).increment()
        }
        let lines = registry.text().split(separator: "\n")
        #expect(lines.count == MetricsRegistry.maximumSeries + 2)
        #expect(lines.contains("paths{path=\"/999\"} 1"))
        #expect(lines.last == "paths{path=\"other\"} 500")
    }
}
