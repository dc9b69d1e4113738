import Answers
import JSON

/// The description of an endpoint. Its query and its body are described by the code that reads them.
struct Operation: Sendable {
    /// The content of a successful answer.
    enum Content: Sendable {
        case none
        case json(JSONSchema)
        /// Content of another type.
        case other(mediaType: String)
    }

    /// Unique among all operations; the name of the call in generated clients.
    let id: String
    /// A sentence.
    let summary: String
    /// The parameters of the query.
    let parameters: @Sendable () throws(Problem) -> [JSONSchema.Member]
    /// The body; nil for an endpoint whose body has no members.
    let body: (@Sendable () -> JSONExploration)?
    /// Whether the body may also be one item per line.
    private(set) var takesLines = false
    /// Evaluated when the document is made, because the schemas of some answers explore readers.
    let answers: @Sendable () -> [(Int, Content)]
    /// The codes of refusals beside those that every endpoint of its kind can have.
    let problems: [ProblemCode]

    /// - Parameters:
    ///   - query: Reads the query.
    ///   - body: Reads the body.
    init<Query, Body>(
        _ id: String, _ summary: String,
        query: @escaping @Sendable (inout RequestQuery) throws(Problem) -> Query,
        body: @escaping @Sendable (inout JSONReader) -> Body?,
        answers: @autoclosure @escaping @Sendable () -> [(Int, Content)],
        problems: [ProblemCode] = []
    ) {
        self.init(
            id, summary, { () throws(Problem) in try RequestQuery.parameters(of: query) },
            {
                JSONExploration.explore(Fields.notes, body)
            }, answers, problems)
    }

    init<Body>(
        _ id: String, _ summary: String, body: @escaping @Sendable (inout JSONReader) -> Body?,
        answers: @autoclosure @escaping @Sendable () -> [(Int, Content)],
        problems: [ProblemCode] = []
    ) {
        self.init(id, summary, { [] }, { JSONExploration.explore(Fields.notes, body) }, answers, problems)
    }

    init<Query>(
        _ id: String, _ summary: String, query: @escaping @Sendable (inout RequestQuery) throws(Problem) -> Query,
        answers: @autoclosure @escaping @Sendable () -> [(Int, Content)],
        problems: [ProblemCode] = []
    ) {
        self.init(
            id, summary, { () throws(Problem) in try RequestQuery.parameters(of: query) }, nil, answers, problems)
    }

    init(
        _ id: String, _ summary: String, answers: @autoclosure @escaping @Sendable () -> [(Int, Content)],
        problems: [ProblemCode] = []
    ) {
        self.init(id, summary, { [] }, nil, answers, problems)
    }

    private init(
        _ id: String, _ summary: String, _ parameters: @escaping @Sendable () throws(Problem) -> [JSONSchema.Member],
        _ body: (@Sendable () -> JSONExploration)?, _ answers: @escaping @Sendable () -> [(Int, Content)],
        _ problems: [ProblemCode]
    ) {
        self.id = id
        self.summary = summary
        self.parameters = parameters
        self.body = body
        self.answers = answers
        self.problems = problems
    }

    /// The same operation, whose body may also be NDJSON.
    var orLines: Operation {
        var copy = self
        copy.takesLines = true
        return copy
    }
}

/// The answers of most operations.
extension [(Int, Operation.Content)] {
    static func ok(_ schema: JSONSchema) -> Self { [(200, .json(schema))] }
    static func created(_ schema: JSONSchema) -> Self { [(201, .json(schema))] }
    /// 201 when the request has created it, 200 when it was there.
    static func set(_ schema: JSONSchema) -> Self { [(200, .json(schema)), (201, .json(schema))] }
    static func page(of schema: JSONSchema) -> Self { ok(.page(of: schema)) }
    static let deleted: Self = [(204, .none)]
    static func stream(_ mediaType: String) -> Self { [(200, .other(mediaType: mediaType))] }
    /// A file, which is not sent again to a client that has it.
    static func file(_ mediaType: String) -> Self { stream(mediaType) + [(304, .none)] }
}
