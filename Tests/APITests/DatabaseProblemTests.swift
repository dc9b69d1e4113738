import Answers
import Postgres
import Testing

@testable import API

/// The answers to clients for failures of the database.
@Suite("Problems of the database") struct DatabaseProblemTests {
    private static func server(_ sqlState: String) -> PostgresError.Kind {
        .server(sqlState: sqlState, message: "", constraint: nil, table: nil)
    }

    @Test(
        "An outage, a time limit, a full line and a fault are told apart",
        arguments: [
            (.connection(message: "refused", outcomeUnknown: false), .unavailable, "cannot be reached"),
            (.timeout(outcomeUnknown: true), .unavailable, "cannot be reached"),
            (server("57P01"), .unavailable, "cannot be reached"),
            (server("57014"), .unavailable, "too large for its time limit"),
            (server("53200"), .unavailable, "too busy"),
            (.poolExhausted, .unavailable, "waited too long for its turn"),
            (.lineFull, .rateLimited, "Too many reads of this environment wait"),
            (server("22008"), .internalError, "Quote the request id"),
            (server("42501"), .internalError, "Quote the request id"),
            (.decoding("x"), .internalError, "Quote the request id"),
        ] as [(PostgresError.Kind, ProblemCode, String)])
    func problems(kind: PostgresError.Kind, code: ProblemCode, sentence: String) {
        let problem = Problem(PostgresError(kind))
        #expect(problem.code == code)
        #expect(problem.detail.contains(sentence), "\(problem.detail)")
    }
}
