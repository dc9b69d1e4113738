import API
import Foundation
import JSON
import OpenAPI
import Testing

/// The description of the API, to which every request and answer of the acceptance tests is held.
enum Contract {
    static let description = Result {
        let description = try EndpointCall.unconnectedServer().description
        if let path = variable("QUOTASTACK_TEST_OPENAPI") {
            try Data(description.json.bytes).write(to: URL(filePath: path))
        }
        return description
    }

    private static let checker = try? description.map { ContractChecker(document: $0.json) }.get()

    /// Records an issue for each difference between an exchange and the description.
    ///
    /// The client follows redirects, so the answer to `/` is that of the page to which it leads.
    static func check(_ method: String, _ target: String, _ body: [UInt8]?, _ type: String?, _ answer: Answer) {
        guard target != "/" else { return }
        let exchange = ContractChecker.Exchange(
            method: method, target: target, requestBody: body, requestType: type, status: answer.status,
            answerType: answer.headers["content-type"], answer: answer.bytes)
        for violation in checker?.violations(in: exchange) ?? [] { Issue.record("\(violation)") }
    }
}
