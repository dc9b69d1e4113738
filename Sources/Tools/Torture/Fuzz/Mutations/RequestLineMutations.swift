import SeededRandom

/// Mutations of the request line.
extension Mutation {
    static let requestLine: [Mutation] = [
        Mutation("method: another", .head) { request, generator in
            request.method = utf8(generator.pick(knownMethods))
        },
        Mutation("method: broken", .head, keepsFraming: false) { request, generator in
            request.method = utf8(generator.pick(brokenMethods))
        },
        Mutation("target: another path", .head) { request, generator in
            request.target = utf8(generator.pick(otherPaths))
        },
        Mutation("target: percent-encoding", .head) { request, generator in
            let text = utf8(generator.pick(encodings))
            request.insertIntoTarget(text, &generator)
        },
        Mutation("target: query", .head) { request, generator in
            request.target += utf8(generator.pick(queries))
        },
        Mutation("target: very long", .head) { request, generator in
            let count = generator.pick([1_000, 4_000, 8_100, 8_170, 8_192, 9_000, 20_000])
            request.target += [UInt8](repeating: UInt8(ascii: "x"), count: count)
        },
        Mutation("target: absolute form", .head) { request, generator in
            request.target = utf8(generator.pick(origins)) + request.target
        },
        Mutation("target: no path", .head) { request, generator in
            request.target = utf8(generator.pick(["*", "h:80", "v1/usage", "?x", "-", "%2Fv1%2Fusage"]))
        },
        Mutation("target: bytes above 0x7F", .head) { request, generator in
            let bytes = generator.pick(highBytes)
            request.insertIntoTarget(bytes, &generator)
        },
        Mutation("target: control byte", .head) { request, generator in
            let byte: UInt8 = generator.pick([1, 7, 8, 27, 31, 127])
            request.insertIntoTarget([byte], &generator)
        },
        Mutation("request line: blanks", .head, keepsFraming: false) { request, generator in
            let between = utf8(generator.pick(["  ", "\t", "", " \t ", "\u{B}", "\u{0}", "\u{A0}", " \r ", "   "]))
            request.requestLine = request.line(separator: between)
        },
        Mutation("request line: blanks around", .head, keepsFraming: false) { request, generator in
            let line = request.line(separator: utf8(" "))
            let blank = utf8(generator.pick([" ", "\t", "\u{0}", "\u{FEFF}"]))
            request.requestLine = generator.chance(50) ? blank + line : line + blank
        },
        Mutation("request line: empty lines before", .head) { request, generator in
            request.emptyLines = utf8(generator.pick(["\r\n", "\r\n\r\n", "\n", "\n\r\n"]))
        },
        Mutation("request line: none", .head, keepsFraming: false) { request, _ in
            request.requestLine = []
        },
        Mutation("request line: parts missing", .head, keepsFraming: false) { request, generator in
            request.requestLine = generator.pick([request.method, request.target, request.method + utf8(" /healthz")])
        },
        Mutation("version: HTTP/1.0", .head) { request, _ in
            request.version = utf8("HTTP/1.0")
        },
        Mutation("version: another", .head, keepsFraming: false) { request, generator in
            request.version = utf8(generator.pick(versions))
        },
    ]

    private static let knownMethods = [
        "GET", "HEAD", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "SEARCH", "LINK",
    ]

    private static let brokenMethods = [
        "", "get", "Get", "G", "GETT", "G\u{0}T", "GE T", "(POST)", "P\u{D6}ST", "CONNECT", "PRI", "GET\t", "\r\nGET",
        "GET\r\n", "{\"a\":1}", String(repeating: "G", count: 300), String(repeating: "G", count: 9_000),
    ]

    private static let otherPaths = [
        "/", "//", "/v1", "/v1/", "/v1/usage", "/v1/usage/", "//v1/usage", "/v1//usage", "/V1/usage",
        "/v1/usage/batch/batch", "/v1/features/../usage", "/v1/./usage", "/v1/credits/grant", "/v1/config", "/metrics",
        "/favicon.ico", "/v1/operations/op_00000000000000000000000000", "/v1/reservations/res_x/commit",
        "/v1/end-users/{id}", "/v1/ledger", "/v1/entitlements/check?end_user_id=&feature_key=", "/healthz?x=1",
    ]

    private static let encodings = [
        "%00", "%0d%0a", "%20", "%2F", "%2e%2e%2f", "%", "%z", "%zz", "%2", "%ff", "%C3%28", "%ED%A0%80", "%u0041",
        "+", "%25", "%F0%9F%98%80",
    ]

    private static let queries = [
        "?", "&", "?x=1", "&x", "&limit=-1", "&limit=99999999999999999999", "&end_user_id=a&end_user_id=b",
        "&cursor=%00", "?a=b?c=d", "#part", "&units=1e9", "&=", "&&&", ";", "&units=-0", "&at=2034-13-45T99:99:99Z",
        "&from=x", "&order=random", "&cursor=bm9uc2Vuc2U", "&feature_key=", "/", "/x",
    ]

    private static let origins = [
        "http://127.0.0.1", "https://h:443", "http://user:pass@h", "http://[::1]", "HTTP://h", "http://", "ftp://h",
        "http:", "/", "//h",
    ]

    private static let versions = [
        "", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "HTTP/1.", "HTTP/.1", "HTTP/11", "HTTP/1.1.1", "http/1.1", "HTTP/1,1",
        "HTTP/9.9", "ICY/1.0", "RTSP/1.0", "HTTP/1.1 x", "HTTP/1.1\t", "HTTP /1.1", "HTTP/+1.1", "HTTP/1.1\u{0}",
    ]

    /// Bytes of UTF-8 and of no coding.
    private static let highBytes: [[UInt8]] = [
        [0xC3, 0xAB], [0xEB], [0x80], [0xFF, 0xFE], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x98, 0x80],
    ]
}

extension FuzzRequest {
    /// Inserts bytes anywhere after the first byte of the target.
    fileprivate mutating func insertIntoTarget(_ bytes: [UInt8], _ generator: inout SeededGenerator) {
        guard !target.isEmpty else { return }
        target.insert(contentsOf: bytes, at: Int.random(in: 1...target.count, using: &generator))
    }
}
