import Catalogue
import Credits
import Metering
import Postgres
import Storage
import TestBooks
import TestDatabases
import Testing

/// The calendar that the database computes for a time zone.
@Suite("Time zones")
struct TimeZoneTests {
    @Test(
        "the offset of a zone at an instant",
        arguments: [
            ("Europe/Berlin", "2026-03-29T00:59:59Z", 3_600), ("Europe/Berlin", "2026-03-29T01:00:00Z", 7_200),
            ("Europe/Berlin", "1970-06-01T00:00:00Z", 3_600), ("Europe/Berlin", "2100-07-01T00:00:00Z", 7_200),
            ("America/New_York", "2026-11-01T05:59:59Z", -14_400),
            ("America/New_York", "2026-11-01T06:00:00Z", -18_000),
            ("Australia/Lord_Howe", "2026-04-04T14:59:59Z", 39_600),
            ("Australia/Lord_Howe", "2026-04-04T15:00:00Z", 37_800),
            ("America/Sao_Paulo", "2018-11-04T03:00:00Z", -7_200), ("Asia/Kathmandu", "2026-01-01T00:00:00Z", 20_700),
            // CET is also an abbreviation; here it is the name of a zone.
            ("CET", "2026-07-01T00:00:00Z", 7_200), ("UTC", "2026-07-01T00:00:00Z", 0),
            ("Etc/GMT+12", "2026-07-01T00:00:00Z", -43_200),
        ] as [(String, String, Int32)])
    func offsets(zone: String, instant: String, offset: Int32) async throws {
        try await withZone(zone) { config in
            let at = try #require(Instant(rfc3339: instant))
            #expect(config.timeZone == zone)
            #expect(config.zone.offset(at: at) == offset)
        }
    }

    @Test("a day that begins at 01:00 comes from the database's own calendar")
    func skippedMidnight() async throws {
        try await withZone("America/Sao_Paulo") { config in
            let noon = try #require(Instant(rfc3339: "2018-11-04T15:00:00Z"))
            let day = WindowLength.day.calendarWindow(containing: noon, in: config.zone)
            #expect("\(day.start) \(day.end)" == "2018-11-04T03:00:00.000Z 2018-11-05T02:00:00.000Z")
        }
    }

    @Test("a name that is not a zone, or not the same zone everywhere, is refused")
    func names() async throws {
        try await withDatabase { connection, configuration in
            let ledger = try await PostgresConnection.connect(configuration.acting(as: .ledger))
            defer { ledger.close() }
            for name in ["Europe/Berlin", "UTC", "CET"] {
                #expect(try await CatalogueStore.isTimeZone(name, on: ledger), "\(name)")
            }
            for name in [
                "", "Berlin", "europe/berlin", "posix/Europe/Berlin", "localtime", "posixrules", "EST5EDT4", "+2",
            ] {
                #expect(try await !CatalogueStore.isTimeZone(name, on: ledger), "\(name)")
            }
        }
    }

    @Test("an environment without a zone is in UTC, and so is one whose zone was removed")
    func none() async throws {
        try await withZone(nil) { config in
            #expect(config.timeZone == nil && config.zone == .utc)
        }
    }

    /// Sets an environment's zone in the ledger's role and reads it as the worker does.
    private func withZone(_ name: String?, _ body: (EnvironmentConfig) throws -> Void) async throws {
        try await withDatabase { connection, configuration in
            let environmentID = try await TestBooks(connection).environmentID
            let ledger = try await PostgresConnection.connect(configuration.acting(as: .ledger))
            defer { ledger.close() }
            for zone in ["Asia/Tokyo", name] {
                let changed = try await CatalogueStore.updateConfig(
                    ConfigChange(timeZone: .set(zone)), environmentID: environmentID, on: ledger)
                #expect(changed?.timeZone == zone)
            }
            try body(try await CatalogueStore.load(environmentID, on: ledger).catalogue.config)
        }
    }
}
