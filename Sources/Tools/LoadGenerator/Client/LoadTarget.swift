package import NIOCore

/// The server under load, with the parts that all requests to it share.
package struct LoadTarget: Sendable {
    package let host: String
    package let port: Int
    /// The bearer token of every request; nil sends none.
    package let apiKey: String?

    package init(host: String = "127.0.0.1", port: Int, apiKey: String? = nil) {
        self.host = host
        self.port = port
        self.apiKey = apiKey
    }

    /// The bytes of a request without a body.
    ///
    /// - Parameter headers: Further header lines, without their line ends.
    package func get(_ path: String, headers: [String] = []) -> ByteBuffer {
        ByteBuffer(string: head("GET", path, headers) + "\r\n")
    }

    /// The bytes of a request with a JSON body.
    ///
    /// - Parameter headers: Further header lines, without their line ends.
    package func post(_ path: String, _ body: some Collection<UInt8>, headers: [String] = []) -> ByteBuffer {
        let head =
            head("POST", path, headers) + "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n"
        var request = ByteBufferAllocator().buffer(capacity: head.utf8.count + body.count)
        request.writeString(head)
        request.writeBytes(body)
        return request
    }

    /// The head of a request, without the empty line that ends it.
    func head(_ method: String, _ path: String, _ headers: [String] = []) -> String {
        "\(method) \(path)" + headEnd(headers)
    }

    /// The head of a request from after its path, without the empty line that ends it.
    func headEnd(_ headers: [String] = []) -> String {
        var head = " HTTP/1.1\r\nHost: \(host):\(port)\r\n"
        if let apiKey { head += "Authorization: Bearer \(apiKey)\r\n" }
        for header in headers { head += header + "\r\n" }
        return head
    }
}

/// A request that differs from others in one number only.
struct NumberedRequest: Sendable {
    private let before: ByteBuffer
    private let after: ByteBuffer

    init(before: String, after: String) {
        self.before = ByteBuffer(string: before)
        self.after = ByteBuffer(string: after)
    }

    /// The request with the number filled in, in decimal digits.
    func numbered(_ number: Int) -> ByteBuffer {
        var request = ByteBufferAllocator().buffer(capacity: before.readableBytes + after.readableBytes + 20)
        request.writeImmutableBuffer(before)
        request.writeDecimal(number)
        request.writeImmutableBuffer(after)
        return request
    }
}

extension ByteBuffer {
    /// Appends a number of at least 0 in decimal digits, without creating a string.
    mutating func writeDecimal(_ number: Int) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var first = 20
            var rest = number
            repeat {
                first -= 1
                digits[first] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[first..<20]))
        }
    }
}
