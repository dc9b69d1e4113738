import Credits
import JSON

extension [ExhaustedLimit] {
    /// An array of arrays of a counter and the end of its window; nil if there is none.
    package var storedJSON: String? {
        guard !isEmpty else { return nil }
        let elements = map { JSONValue.array([.string($0.counter.text), .integer($0.resetsAt.microseconds)]) }
        return String(decoding: JSONValue.array(elements).canonicalBytes, as: UTF8.self)
    }

    package init(storedJSON text: String) throws(StoredJSONError) {
        guard case .array(let elements)? = try? JSONParser.parse(Array<UInt8>(text.utf8)) else {
            throw StoredJSONError(detail: "the exhausted limits are not an array")
        }
        self = []
        for element in elements {
            guard case .array(let parts) = element, parts.count == 2, case .string(let id) = parts[0],
                let counter = CounterID(text: id), case .integer(let end) = parts[1]
            else { throw StoredJSONError(detail: "an exhausted limit has an invalid value") }
            append(ExhaustedLimit(counter: counter, resetsAt: Instant(microseconds: end)))
        }
    }
}
