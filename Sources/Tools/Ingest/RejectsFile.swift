import Glibc
import JSON

/// The rejected events of a run as NDJSON: each event as it was sent, with its line in the input and the reason.
///
/// The members of the event are at the top level, so that the file can be loaded in turn once the reason is gone: end
/// user `end_user_id`, feature `feature_key`, units `units`. Its rows then get new keys. They need new keys because the
/// ledger stores a refusal under the refused key.
final class RejectsFile {
    private let path: String
    private let descriptor: Int32

    /// Creates the file or empties it.
    ///
    /// - Parameter input: The input file, which must not be overwritten.
    init(path: String, input: InputFile.Identity) throws(IngestFailure) {
        self.path = path
        let isInput = InputFile.identity(ofPath: path)?.isSameFile(as: input) ?? false
        descriptor = isInput ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard !isInput else { throw .rejectsUnwritable(path: path, reason: "it is the input file") }
        guard descriptor >= 0 else { throw .rejectsUnwritable(path: path, reason: SystemError.last) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Appends the rejected events of a batch.
    func append(_ rejections: [BatchAnswer.Rejection], of batch: EventBatch) throws(IngestFailure) {
        var bytes: [UInt8] = []
        for rejection in rejections {
            let event = batch.json(ofEvent: rejection.index)
            var json = JSONWriter()
            json.beginObject()
            json.member("line", batch.events[rejection.index].line)
            json.member("status", rejection.status)
            json.member("code", rejection.code)
            json.member("detail", rejection.detail)
            // The event's own members follow in the same object.
            bytes += json.bytes + [UInt8(ascii: ",")] + event.dropFirst() + [UInt8(ascii: "\n")]
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno != EINTR { throw .rejectsUnwritable(path: path, reason: SystemError.last) }
            rest = rest.dropFirst(max(0, count))
        }
    }
}
