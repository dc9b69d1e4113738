package import Credits

/// One mutation in the form that the audit log shows.
package struct AuditRecord: Hashable, Sendable {
    package let commandID: Bits128
    /// Nil for the root key.
    package let keyID: Bits128?
    package let clientAddress: String?
    package let action: String
    /// Nil if the mutation concerned no end user, or one without an account.
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
