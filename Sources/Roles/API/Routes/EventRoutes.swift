import Answers
import Catalogue
import Credits
import Hummingbird
import JSON
import Storage

/// The events of an environment as a feed, oldest first.
struct EventRoutes: Sendable {
    let services: APIServices

    func add(to routes: inout RouteTable) {
        routes.get(
            "/v1/events", .read(.webhooks),
            Operation(
                "listEvents", "Lists the events of the environment as a feed, oldest first.", query: Self.listQuery,
                answers: .page(of: .event), problems: [.notFound]), use: list)
    }

    @Sendable private static func listQuery(
        _ query: inout RequestQuery
    ) throws(Problem) -> (after: Place?, limit: Int64?) {
        (
            try query.optional("after", expected: "the id of an event, or a next_cursor") { Place($0) },
            try query.optional("limit", in: PageRequest.limits)
        )
    }

    /// `after` is the id of an event or a `next_cursor`. A page always has a cursor from which to continue, also when
    /// nothing follows yet.
    @Sendable private func list(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Response {
        let (after, limit) = try request.query(Self.listQuery)
        let (size, environmentID) = (Int(limit ?? PageRequest.usualLimit), caller.environmentID)
        let (start, events) = try await services.reads.read(of: environmentID) { connection in
            var start = FeedPlace.start
            switch after {
            case .cursor(let place)?: start = place
            case .event(let account, let sequence)?:
                guard
                    let place = try await EventReads.place(
                        of: sequence, account: account, environmentID: environmentID, on: connection)
                else { throw Problem(.notFound, "No event has that id in this environment. Check the id.") }
                start = place
            case nil: break
            }
            let events = try await EventReads.page(
                environmentID: environmentID, after: start, limit: size + 1, on: connection)
            return (start, events)
        }
        var json = JSONWriter(capacity: 4_096)
        json.beginObject()
        json.array("data", events.prefix(size)) { json, event in
            json.event(
                event.place.sequence, type: event.type, data: event.data, at: event.at, recordedAt: event.recordedAt,
                environment: caller.kind, of: event.place.account, event.endUserID)
        }
        json.object("pagination") { json in
            json.member("has_more", events.count > size)
            json.member("next_cursor", (events.prefix(size).last?.place ?? start).text)
        }
        json.endObject()
        return .json(json.bytes)
    }

    /// The place from which a client continues.
    private enum Place: Sendable {
        case event(AccountID, Int64)
        case cursor(FeedPlace)

        init?(_ text: String) {
            if let id = PublicID(.event, parsing: text) {
                self = .event(id.account, id.number)
            } else if let place = FeedPlace(text: text) {
                self = .cursor(place)
            } else {
                return nil
            }
        }
    }
}
