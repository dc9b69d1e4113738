extension Scenario {
    /// `GET` of pages of the documentation, one after the other.
    package static func pages(_ target: LoadTarget, _ addresses: [String]) -> Scenario {
        precondition(!addresses.isEmpty, "there must be a page to ask for")
        let requests = addresses.map { target.get($0) }
        return Scenario(
            name: "pages",
            script: LoadScript(
                request: { _, sequence in requests[sequence % requests.count] },
                check: { response in
                    guard response.status == 200 else { return "status \(response.status), not 200" }
                    let isPage = response.body.starts(with: "<!doctype html>".utf8)
                    return isPage
                        ? nil : "the answer is no page: \(String(decoding: response.body.prefix(80), as: UTF8.self))"
                }))
    }
}
