import Answers
import Credits
import Hummingbird

/// The context of a request on its way through the routes.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Shown to the client and written in every log line about the request.
    var requestID = ""
    /// The request and its answer on their connection.
    var exchange: Exchange?

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
    }

    /// The address at the other end of the connection. X-Forwarded-For is ignored, because any client can set it.
    var clientAddress: String? { exchange?.client.addressText }

    /// Says whose memory the request uses from now on.
    ///
    /// - Throws: `Problem` when the clients of the environment have left too many answers unread.
    func belongs(to environmentID: EnvironmentID) throws(Problem) {
        guard let exchange else { return }
        exchange.owner = .environment(environmentID)
        guard exchange.service.answers.isUsedUp(for: exchange.owner) else { return }
        throw Problem(
            .rateLimited,
            "The clients of this environment have not read their answers. Nothing was done; read them, or close their connections."
        )
    }

    /// The end user in the path.
    func endUserID() throws(Problem) -> EndUserID {
        guard let id = EndUserID(try pathParameter("id")) else { throw .unknownEndUser }
        return id
    }

    /// Whether the body is, or may become, too large to be worked on by an event loop.
    var mayHaveLargeBody: Bool {
        switch exchange?.head.body {
        case .chunks: true
        // Inflated, a body is up to a thousand times as large.
        case .length(let length): length > LongWork.smallBody || exchange?.head.isCompressed == true
        case .some(.none), nil: false
        }
    }

    /// The percent-decoded value of a path parameter.
    func pathParameter(_ name: String) throws(Problem) -> String {
        guard let raw = parameters.get(name), let text = percentDecoded(raw, plusIsSpace: false) else {
            throw Problem(.invalidRequest, "The path is not percent-encoded UTF-8.")
        }
        return text
    }

    /// The account and the number of a resource of an account, from the id in the path.
    ///
    /// - Parameter unknown: The answer to an id of another kind, or one that no resource can have.
    func accountAndNumber(
        _ kind: PublicIDKind, unknown: Problem
    ) throws(Problem) -> (account: AccountID, number: Int32) {
        guard let id = PublicID(kind, parsing: try pathParameter("id")), let number = Int32(exactly: id.number) else {
            throw unknown
        }
        return (id.account, number)
    }
}
