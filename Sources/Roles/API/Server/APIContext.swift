import Answers
import Hummingbird
import NIOCore

/// The context of a request on its way through the routes.
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

    /// The address at the other end of the connection. X-Forwarded-For is ignored, because any client can set it.
    var clientAddress: String? { channel.remoteAddress?.ipAddress }

    /// The percent-decoded value of a path parameter.
    func pathParameter(_ name: String) throws(Problem) -> String {
        guard let raw = parameters.get(name), let text = percentDecoded(raw, plusIsSpace: false) else {
            throw Problem(.invalidRequest, "The path is not percent-encoded UTF-8.")
        }
        return text
    }
}
