package import Credits

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
