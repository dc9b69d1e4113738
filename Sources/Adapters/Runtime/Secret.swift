import SystemPackage

/// The value of a secret setting, which the setting states or a file contains.
///
/// A file keeps the secret out of the process's environment. systemd's `LoadCredential` and container platforms hand
/// secrets over as files.
package struct Secret {
    /// More than any secret needs, so that a wrong path cannot fill the memory.
    private static let maximumBytes = 64 << 10

    package let text: String
    /// The file; nil for a secret that the setting states.
    let path: String?

    /// - Parameters:
    ///   - name: The name of the setting. The setting with `_FILE` behind the name names a file.
    ///   - stated: The value of the setting; nil or empty when it is not set.
    ///   - path: The file that contains the secret, with or without a line end; nil or empty when none is named.
    /// - Throws: `SettingsError` when both are set, or when the file cannot be read or is empty. Its text never has a part
    ///   of the secret.
    package init?(_ name: String, stated: String?, path: String?) throws {
        switch (stated == "" ? nil : stated, path == "" ? nil : path) {
        case (nil, nil): return nil
        case (let stated?, nil): (text, self.path) = (stated, nil)
        case (nil, let path?):
            text = try Self.content(path, of: "\(name)_FILE")
            self.path = path
        case (.some, .some): throw SettingsError("\(name) and \(name)_FILE are both set: set one of them")
        }
    }

    private static func content(_ path: String, of name: String) throws -> String {
        var bytes: [UInt8] = []
        do {
            let file = try FileDescriptor.open(FilePath(path), .readOnly)
            try file.closeAfter {
                var piece = [UInt8](repeating: 0, count: 4_096)
                while bytes.count <= maximumBytes {
                    let count = try piece.withUnsafeMutableBytes { try file.read(into: $0) }
                    guard count > 0 else { break }
                    bytes += piece[..<count]
                }
            }
        } catch {
            throw SettingsError("\(name) names \(path), which cannot be read: \(error)")
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw SettingsError("\(name) names \(path), which is empty") }
        guard bytes.count <= maximumBytes, let text = String(validating: bytes, as: UTF8.self) else {
            throw SettingsError("\(name) names \(path), which is not a text of at most \(maximumBytes) bytes")
        }
        return text
    }
}
