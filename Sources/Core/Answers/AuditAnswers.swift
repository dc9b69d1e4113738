package import Commands
import Credits
package import JSON

extension JSONWriter {
    package mutating func audit(_ record: AuditRecord) {
        beginObject()
        member("id", PublicID(.operation, record.commandID))
        object("actor") { json in
            json.member("type", record.keyID == nil ? "root" : "api_key")
            json.member("id", record.keyID.map { PublicID(.key, $0).description })
        }
        member("ip", record.clientAddress)
        member("action", record.action)
        member("end_user_id", record.endUserID?.rawValue)
        member("at", record.decidedAt as Instant?)
        member("request_id", record.requestID)
        member("status", Int64(record.status))
        member("outcome", (200..<300).contains(record.status) ? "succeeded" : "failed")
        endObject()
    }
}
