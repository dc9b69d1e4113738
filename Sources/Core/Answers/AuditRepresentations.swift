package import Credits
package import JSON

/// One mutation as the audit log shows it.
package struct AuditRecord: Hashable, Sendable {
    package let commandID: Bits128
    /// Nil for the root key.
    package let keyID: Bits128?
    package let clientAddress: String?
    package let action: String
    /// Nil where the mutation was of no end user, or of one that it did not make.
    package let endUserID: EndUserID?
    package let decidedAt: Instant
    package let requestID: String
    package let status: UInt16

    package init(
        commandID: Bits128, keyID: Bits128?, clientAddress: String?, action: String, endUserID: EndUserID?,
        decidedAt: Instant, requestID: String, status: UInt16
    ) {
        self.commandID = commandID
        self.keyID = keyID
        self.clientAddress = clientAddress
        self.action = action
        self.endUserID = endUserID
        self.decidedAt = decidedAt
        self.requestID = requestID
        self.status = status
    }
}

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
