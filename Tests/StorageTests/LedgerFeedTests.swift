import Credits
import Ledger
import Postgres
import Storage
import TestBooks
import TestDatabases
import Testing

@Suite("The feed of the ledger")
struct LedgerFeedTests {
    @Test("page by page every entry is read once, in the order of its account, of all accounts and of one")
    func pages() async throws {
        try await withDatabase { connection, _ in
            var books = try await RandomBooks(try await TestBooks(connection), seed: 7)
            for _ in 0..<60 { try await books.batch() }
            for only in [nil] + books.remembered.values.map(\.account.id) {
                let expected = books.remembered.values.filter { only == nil || $0.account.id == only }
                let count = expected.reduce(0) { $0 + $1.entries.count }
                var seen: [AccountID: [Entry]] = [:]
                var place = FeedPlace(before: 0)
                var places: [FeedPlace] = []
                // The transactions of other tests' databases may be older than the last ones of this one.
                let deadline = ContinuousClock.now + .seconds(60)
                while places.count < count, ContinuousClock.now < deadline {
                    let page = try await LedgerFeed.page(
                        environmentID: books.environmentID, accountID: only, after: place, on: connection, entries: 7)
                    #expect(page.entries.count <= 7)
                    for placed in page.entries { seen[placed.account.id, default: []].append(placed.entry) }
                    places += page.entries.map(\.place)
                    #expect(page.end >= place)
                    place = page.end
                }
                #expect(places == places.sorted() && Set(places).count == places.count)
                for known in expected {
                    #expect(seen[known.account.id]?.map(\.hash) == known.entries.map(\.hash))
                }
            }
        }
    }

    @Test("a place is read as it is written, and nothing else is a place")
    func places() throws {
        let place = FeedPlace(transaction: 5, account: AccountID(7), sequence: .max)
        #expect(FeedPlace(text: place.text) == place)
        for text in ["", "1-2", "1-2-3-4", "-1-2-3", "a-2-3", "1--3"] { #expect(FeedPlace(text: text) == nil) }
    }
}
