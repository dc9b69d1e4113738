import Answers
import Hummingbird
import NIOCore

/// What the server knows of a request on its way through the routes.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Shown to the client and written in every log line about the request.
    var requestID: String
    private let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        requestID = ""
        channel = source.channel
    }

    /// The address at the other end of the connection. What a proxy says in X-Forwarded-For is not taken: anybody can say
    /// that.
    var clientAddress: String? { channel.remoteAddress?.ipAddress }

    /// A part of the path, decoded.
    func pathParameter(_ name: String) throws(Problem) -> String {
        guard let raw = parameters.get(name), let text = percentDecoded(raw, plusIsSpace: false) else {
            throw Problem(.invalidRequest, "The path is not percent-encoded UTF-8.")
        }
        return text
    }
}
