import Answers
import Postgres

extension Problem {
    /// The answer to a read that failed in the database.
    init(_ error: PostgresError) {
        switch error.condition {
        case .away:
            self.init(.unavailable, "The database cannot be reached at the moment. Try again.")
        case .busy where error.kind == .lineFull:
            self.init(
                .rateLimited,
                "Too many reads of this environment wait for the database. Send fewer at once, or try again in a moment."
            )
        case .busy where error.kind == .poolExhausted:
            self.init(
                .unavailable,
                "The read waited too long for its turn at the database. Send fewer at once, or try again in a moment."
            )
        case .busy:
            self.init(
                .unavailable,
                "The read was too large for its time limit, or the database is too busy. Ask for less at once, such as a shorter period, or try again later."
            )
        case .answering:
            self.init(
                .internalError, "The request could not be served. Quote the request id to the operators.")
        }
    }
}
