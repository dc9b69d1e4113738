import Glibc

/// A head that cannot be read.
enum RequestHeadError: Error {
    case malformed
    case lineTooLong
    case headersTooLarge
}

/// Finds the end of a request's head in the bytes that have come, and holds the head to its limits. A head that comes
/// in many pieces is searched once.
struct HeadScan {
    enum Outcome {
        case isIncomplete
        /// The head has this many bytes, with its blank line.
        case isComplete(Int)
        case isRefused(RequestHeadError)
    }

    /// The number of bytes that were searched.
    private var searched = 0
    /// The start of the line that is being searched.
    private var lineStart = 0
    /// The number of whole lines so far.
    private var lines = 0
    private var headersStart = 0

    /// The length of the empty lines before the request line, which RFC 9112 (section 2.2) tells a server to skip.
    func emptyLines(in bytes: UnsafeRawBufferPointer) -> Int {
        guard searched == 0 else { return 0 }
        var length = 0
        while length < bytes.count {
            if bytes[length] == UInt8(ascii: "\n") {
                length += 1
            } else if bytes[length...].starts(with: "\r\n".utf8) {
                length += 2
            } else {
                break
            }
        }
        return length
    }

    /// Searches on.
    ///
    /// - Parameter bytes: All bytes of the head so far.
    mutating func advance(over bytes: UnsafeRawBufferPointer) -> Outcome {
        while let end = bytes.indexOfLineFeed(from: searched) {
            let isCRLF = end > lineStart && bytes[end - 1] == UInt8(ascii: "\r")
            let length = end - lineStart - (isCRLF ? 1 : 0)
            searched = end + 1
            if lines == 0 {
                guard length <= ConnectionLimits.requestLine else { return .isRefused(.lineTooLong) }
                headersStart = searched
            } else {
                guard lineStart - headersStart <= ConnectionLimits.headers else { return .isRefused(.headersTooLarge) }
                if length == 0 { return .isComplete(searched) }
                guard lines <= ConnectionLimits.headerLines else { return .isRefused(.headersTooLarge) }
            }
            lines += 1
            lineStart = searched
        }
        searched = bytes.count
        // One byte more, because the last one can be the first half of the line's end.
        if lines == 0, searched > ConnectionLimits.requestLine + 1 { return .isRefused(.lineTooLong) }
        if lines > 0, searched - headersStart > ConnectionLimits.headers + 2 { return .isRefused(.headersTooLarge) }
        return .isIncomplete
    }

    /// The names, in lower case, of the header lines of a whole head that are not UTF-8. The request line has no name.
    ///
    /// The decoder replaces such bytes, so that two different values would become one.
    static func undecodableNames(in head: UnsafeRawBufferPointer) -> Set<String> {
        // Nearly every head is ASCII.
        guard head.reduce(0, |) >= 0x80 else { return [] }
        var names: Set<String> = []
        for (index, line) in head.split(separator: UInt8(ascii: "\n")).enumerated()
        where String(validating: line, as: UTF8.self) == nil {
            let name = index == 0 ? "" : String(decoding: line.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self)
            names.insert(name.lowercased())
        }
        return names
    }
}

/// Finds blank lines in bytes that come in pieces.
struct BlankLine {
    /// How much of the pattern the latest bytes were.
    private enum Progress {
        case none, lineFeed, carriageReturn
    }

    private var progress = Progress.none

    /// The index after the first blank line; nil when there is none in this piece. The next piece continues this one.
    mutating func end(in bytes: UnsafeRawBufferPointer) -> Int? {
        var index = 0
        while index < bytes.count {
            switch (progress, bytes[index]) {
            case (.none, _):
                guard let lineFeed = bytes.indexOfLineFeed(from: index) else { return nil }
                index = lineFeed
                progress = .lineFeed
            case (_, UInt8(ascii: "\n")):
                progress = .none
                return index + 1
            case (.lineFeed, UInt8(ascii: "\r")): progress = .carriageReturn
            default: progress = .none
            }
            index += 1
        }
        return nil
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func indexOfLineFeed(from start: Int) -> Int? {
        guard let base = baseAddress, start < count,
            let found = memchr(base + start, Int32(UInt8(ascii: "\n")), count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
