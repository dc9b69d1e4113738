import JSON

/// The server's answer to one batch.
struct BatchAnswer: Sendable, Equatable {
    /// An event of the batch that was refused.
    struct Rejection: Sendable, Equatable {
        /// The index of the event in the batch.
        var index: Int
        var status: Int?
        var code: String
        var detail: String

        /// Whether the event was not decided, so that the same event may be accepted later.
        var isPassing: Bool {
            guard let status else { return false }
            return status == 429 || status >= 500
        }
    }

    var accepted: Int
    /// The number of events that had been accepted before under the same key.
    var replayed: Int
    /// In the order of the batch.
    var rejections: [Rejection]
}

/// The reason why the body of a 200 is not an answer to a batch.
struct UnusableAnswer: Error, Sendable, Equatable {
    let sentence: String
}

extension BatchAnswer {
    /// Reads `{accepted, replayed, rejected, results: [{index, id | error}]}`. Unknown members are ignored, so that the
    /// API can add some, but there must be exactly one result for every event.
    init(_ body: some Collection<UInt8>, eventCount: Int) throws(UnusableAnswer) {
        guard case .object(let object)? = try? JSONParser.parse(body) else {
            throw UnusableAnswer(sentence: "it is not a JSON object")
        }
        guard case .array(let results)? = object["results"], results.count == eventCount else {
            throw UnusableAnswer(sentence: "it does not have one result for each of the \(eventCount) events")
        }
        var isAnswered = [Bool](repeating: false, count: eventCount)
        rejections = []
        for case .object(let result) in results {
            guard case .integer(let number)? = result["index"], let index = Int(exactly: number),
                isAnswered.indices.contains(index), !isAnswered[index]
            else { throw UnusableAnswer(sentence: "its results do not have the indexes of the events") }
            if let rejection = Rejection(index: index, result["error"]) {
                rejections.append(rejection)
            } else if result["id"]?.text == nil {
                throw UnusableAnswer(sentence: "result \(index) has neither an id nor an error")
            }
            isAnswered[index] = true
        }
        guard isAnswered.allSatisfy({ $0 }) else {
            throw UnusableAnswer(sentence: "its results are not all objects")
        }
        rejections.sort { $0.index < $1.index }
        // The server replays refusals as well. Here an event without an id is a rejected one, however the server counts
        // a replayed refusal.
        guard case .integer(let accepted)? = object["accepted"], accepted >= 0,
            accepted <= eventCount - rejections.count
        else { throw UnusableAnswer(sentence: "its counts do not match its results") }
        self.accepted = Int(accepted)
        replayed = eventCount - rejections.count - self.accepted
    }
}

extension BatchAnswer.Rejection {
    fileprivate init?(index: Int, _ error: JSONValue?) {
        guard case .object(let error)? = error else { return nil }
        let status: Int? = if case .integer(let status)? = error["status"] { Int(exactly: status) } else { nil }
        self.init(
            index: index, status: status, code: error["code"]?.text ?? "unknown",
            detail: error["detail"]?.text ?? error["title"]?.text ?? "")
    }
}
