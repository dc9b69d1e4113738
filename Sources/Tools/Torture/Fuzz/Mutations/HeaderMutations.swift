import SeededRandom

/// Mutations of header lines, without those of the framing.
extension Mutation {
    static let headers: [Mutation] = anyHeader + knownHeaders

    // MARK: - Any header

    private static let anyHeader: [Mutation] = [
        Mutation("header: repeated", .head) { request, generator in
            guard !request.headers.isEmpty else { return }
            request.headers.append(generator.pick(request.headers))
        },
        Mutation("header: missing", .head) { request, generator in
            guard !request.headers.isEmpty else { return }
            request.headers.remove(at: Int.random(in: 0..<request.headers.count, using: &generator))
        },
        Mutation("header: folded", .head, keepsFraming: false) { request, generator in
            let fold = utf8(generator.pick(["\r\n ", "\r\n\t", "\r\n \r\n ", "\n "]))
            request.insertIntoHeader(fold, &generator)
        },
        Mutation("header: no colon", .head) { request, generator in
            request.changeHeader(&generator) { line, _ in line.removeAll { $0 == UInt8(ascii: ":") } }
        },
        Mutation("header: blank before the colon", .head) { request, generator in
            request.changeHeader(&generator) { line, generator in
                let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
                line.insert(generator.pick([32, 9]), at: colon)
            }
        },
        Mutation("header: blank at the beginning", .head, keepsFraming: false) { request, generator in
            request.changeHeader(&generator) { line, generator in line.insert(generator.pick([32, 9]), at: 0) }
        },
        Mutation("header: empty name", .head) { request, _ in
            request.headers.append(utf8(": x"))
        },
        Mutation("header: NUL", .head) { request, generator in
            request.insertIntoHeader([0], &generator)
        },
        Mutation("header: control byte", .head) { request, generator in
            let byte: UInt8 = generator.pick([1, 8, 11, 12, 27, 31, 127])
            request.insertIntoHeader([byte], &generator)
        },
        Mutation("header: bytes above 0x7F", .head) { request, generator in
            let bytes: [UInt8] = generator.pick([[0xC3, 0xAB], [0xEB], [0x80], [0xFF], [0xE2, 0x80, 0x8B], [0xA0]])
            request.insertIntoHeader(bytes, &generator)
        },
        Mutation("header: bare LF", .head, keepsFraming: false) { request, generator in
            let feed = utf8(generator.pick(["\n", "\n\n", "\nX-A: b\n", "\n\r\n"]))
            request.insertIntoHeader(feed, &generator)
        },
        Mutation("header: bare CR", .head, keepsFraming: false) { request, generator in
            let carriage = utf8(generator.pick(["\r", "\r\r", "\rX-A: b"]))
            request.insertIntoHeader(carriage, &generator)
        },
        Mutation("header: long name", .head) { request, generator in
            let count = generator.pick([100, 1_000, 8_000, 20_000])
            request.headers.append([UInt8](repeating: UInt8(ascii: "n"), count: count) + utf8(": x"))
        },
        Mutation("header: long value", .head) { request, generator in
            let count = generator.pick([100, 1_000, 8_000, 16_000, 17_000, 40_000])
            request.headers.append(utf8("X-Long: ") + [UInt8](repeating: UInt8(ascii: "v"), count: count))
        },
        Mutation("header: very many", .head) { request, generator in
            for number in 0..<generator.pick([10, 80, 94, 95, 96, 100, 300]) {
                request.headers.append(utf8("X-\(number): y"))
            }
        },
        Mutation("header: name in another case", .head) { request, generator in
            request.changeHeader(&generator) { line, _ in
                let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? 0
                for index in 0..<colon where (97...122).contains(line[index]) { line[index] -= 32 }
            }
        },
        Mutation("header: another order", .head) { request, generator in
            request.headers.shuffle(using: &generator)
        },
        Mutation("header: of other programs", .head) { request, generator in
            request.headers.append(utf8(generator.pick(otherHeaders)))
        },
    ]

    private static let otherHeaders = [
        "Range: bytes=0-1", "If-None-Match: *", "If-Match: \"x\"", "Accept: text/html", "Accept: */*;q=x",
        "Accept-Encoding: gzip;q=0", "Origin: null", "TE: trailers", "Trailer: X-Sum", "Via: 1.1 a", "Max-Forwards: 0",
        "X-HTTP-Method-Override: DELETE", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https", "Cookie: a=b",
        "Proxy-Authorization: Basic eDp5", "HTTP2-Settings: AAMAAABkAAQAAP__", "Date: yesterday", "X-A:", "X-A:b",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "traceparent: 00-0-0-0",
        "QuotaStack-Min-Position: nonsense", "QuotaStack-Min-Position:", "QuotaStack-Min-Position: 0",
        "Prefer: respond-async", "Prefer: wait=0", "Prefer: wait=1", "Prefer: wait=-1, wait=x; y=\"", "Prefer: ,;=,",
        "Prefer: respond-async, wait=99999999999999999999",
    ]

    // MARK: - Known headers

    private static let knownHeaders: [Mutation] = [
        variants("Host", ["", "h/x", "a b", "[::1]", "[::1", "h:99999", "%", "h,h", "user@h", "h#", "\u{EB}", "h:x"]),
        Mutation("header: two Hosts", .head) { request, _ in
            request.headers.append(utf8("Host: h"))
        },
        Mutation("header: no Host", .head) { request, _ in
            request.removeHeader("Host")
        },
        variants(
            "Connection",
            [
                "close", "Close", "keep-alive", "close, TE", "TE,\tCLOSE", "keep-alive, close", "", ", ,",
                "close close", "content-length", "transfer-encoding", "host", "x\"y\"", "HTTP2-Settings",
            ]),
        Mutation("header: Upgrade", .head) { request, generator in
            request.setHeader("Connection", utf8("Upgrade"))
            request.setHeader("Upgrade", utf8(generator.pick(["h2c", "websocket", "TLS/1.0, HTTP/1.1", ""])))
        },
        variants(
            "Expect",
            ["100-continue", "100-Continue", "a-miracle", "100-continue, 100-continue", "100-continue; x", "", "100"]),
        Mutation("header: Content-Encoding", .head) { request, generator in
            request.setHeader("Content-Encoding", utf8(generator.pick(codings)))
        },
        Mutation("header: Content-Encoding of rubbish", .body) { request, generator in
            request.requireBody()
            request.body = rubbish(&generator)
            request.setHeader("Content-Encoding", utf8(generator.pick(codings)))
        },
        variants(
            "Content-Type",
            [
                "", "text/plain", "application/json; charset=utf-16", "application/json; charset=\"",
                "application/json;;", "APPLICATION/JSON", "application/x-ndjson", "application/x-www-form-urlencoded",
                "multipart/form-data", "application/json, text/plain", "/", "application/json\u{0}", "json",
                "application/problem+json",
            ]),
        variants(
            "Idempotency-Key",
            [
                "", " ", "\"\"", "\"abc\"", "\"abc", "abc\"", "\"a\\", "\"a\\\"b\"", "\"abc\";p", "Zo\u{EB}",
                "\u{1F600}", "a b", "a,b", "\"\\u0000\"", "%00", String(repeating: "k", count: 255),
                String(repeating: "k", count: 256), String(repeating: "\u{EB}", count: 128),
                String(repeating: "k", count: 9_000),
            ]),
        Mutation("header: Idempotency-Key in Latin-1", .head) { request, generator in
            let last: UInt8 = generator.pick([0xEB, 0xE9, 0x80, 0xFF])
            request.setHeader("Idempotency-Key", utf8("Zo") + [last])
        },
        variants(
            "Authorization",
            [
                "", "Bearer", "Bearer ", "Bearer x", "Basic eDp5", "Digest x", "bearer\tx", "Bearer x x", "Bearer,x",
                "Bearer qs_live_00000000000000000000000000", String(repeating: "B", count: 5_000),
            ]),
        variants("X-API-Key", ["", "x", " ", "qs_live_", "\u{EB}", String(repeating: "q", count: 5_000)]),
        variants(
            "X-Request-Id", ["", "a b", "\u{EB}", String(repeating: "i", count: 65), "<script>", "a\tb", "\"q\""]),
    ]

    private static let codings = [
        "gzip", "x-gzip", "deflate", "identity", "br", "gzip, gzip", "gzip,", "", "GZip", "g\"z",
    ]

    private static func variants(_ name: String, _ values: [String]) -> Mutation {
        Mutation("header: \(name)", .head) { request, generator in
            request.setHeader(name, utf8(generator.pick(values)))
        }
    }

    /// Random bytes, some with the beginning of a compressed body.
    private static func rubbish(_ generator: inout SeededGenerator) -> [UInt8] {
        let beginnings: [[UInt8]] = [[], [0x1F, 0x8B], [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3], [0x78, 0x9C]]
        var bytes = generator.pick(beginnings)
        for _ in 0..<Int.random(in: 1...200, using: &generator) {
            bytes.append(UInt8.random(in: 0...255, using: &generator))
        }
        return bytes
    }
}

extension FuzzRequest {
    /// Inserts bytes anywhere in a random header line.
    fileprivate mutating func insertIntoHeader(_ bytes: [UInt8], _ generator: inout SeededGenerator) {
        changeHeader(&generator) { line, generator in
            line.insert(contentsOf: bytes, at: Int.random(in: 0...line.count, using: &generator))
        }
    }
}
