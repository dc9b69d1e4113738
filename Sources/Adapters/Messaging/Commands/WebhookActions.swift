import Catalogue
import Commands
import Credits
import Webhooks

// The numbers of actions and fields are permanent, as in AccountActions.swift.

extension CatalogueAction {
    /// The revision whose readers know webhooks.
    private static let revision = 6

    /// Writes an action on webhooks, and nothing for another action.
    func writeWebhookAction(to writer: inout FieldWriter) {
        switch self {
        case .createWebhookEndpoint(let endpoint): writer.write(20, since: Self.revision) { $0.write(1, endpoint) }
        case .updateWebhookEndpoint(let id, let change):
            writer.write(21, since: Self.revision) { writer in
                writer.write(1, id)
                writer.write(2, change)
            }
        case .deleteWebhookEndpoint(let id): writer.write(22, since: Self.revision) { $0.write(1, id) }
        case .rotateWebhookSecret(let id, let sealedSecret, let overlapSeconds):
            writer.write(23, since: Self.revision) { writer in
                writer.write(1, id)
                writer.write(2, sealedSecret)
                writer.write(3, overlapSeconds)
            }
        case .testWebhookEndpoint(let id): writer.write(24, since: Self.revision) { $0.write(1, id) }
        case .replayWebhookEvents(let id, let from, let to):
            writer.write(25, since: Self.revision) { writer in
                writer.write(1, id)
                writer.write(2, from)
                writer.write(3, to)
            }
        case .retryWebhookDelivery(let account, let number):
            writer.write(26, since: Self.revision) { writer in
                writer.write(1, account.rawValue)
                writer.write(2, number)
            }
        default: break
        }
    }

    static func webhookAction(
        _ number: Int, from reader: inout FieldReader
    ) throws(CodingError) -> CatalogueAction {
        switch number {
        case 20: .createWebhookEndpoint(try reader.value(1, "webhook endpoint"))
        case 21: .updateWebhookEndpoint(id: try reader.value(1, "id"), try reader.value(2, "change"))
        case 22: .deleteWebhookEndpoint(id: try reader.value(1, "id"))
        case 23:
            .rotateWebhookSecret(
                id: try reader.value(1, "id"), sealedSecret: try reader.byteArray(2, "secret"),
                overlapSeconds: try reader.int64(3, "overlap"))
        case 24: .testWebhookEndpoint(id: try reader.value(1, "id"))
        case 25:
            .replayWebhookEvents(
                id: try reader.value(1, "id"), from: try reader.instant(2, "instant"), to: try reader.optionalInstant(3)
            )
        case 26:
            .retryWebhookDelivery(
                AccountID(try reader.int64(1, "account")), number: try reader.int64(2, "delivery"))
        default: throw .invalid(field: "catalogue action")
        }
    }
}

extension NewWebhookEndpoint: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, url.text)
        if let eventTypes { writer.write(2) { $0.write(1, each: eventTypes) } }
        writer.write(3, description)
        writer.write(4, sealedSecret)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            url: try reader.parsed(1, "URL") { WebhookURL($0) },
            eventTypes: try reader.optionalMessage(2) { (reader) throws(CodingError) in
                try reader.strings(1, "type of event")
            },
            description: try reader.optionalString(3, "description"), sealedSecret: try reader.byteArray(4, "secret"))
    }
}

extension WebhookEndpointChange: FieldCodable {
    func write(to writer: inout FieldWriter) {
        writer.write(1, url?.text)
        writer.write(2, eventTypes) { $0.write($1, each: $2) }
        writer.write(3, description) { $0.write($1, $2 as String?) }
        writer.write(4, isEnabled)
    }

    init(from reader: inout FieldReader) throws(CodingError) {
        self.init(
            url: try reader.optional(1, "URL") { WebhookURL($0) },
            eventTypes: try reader.change(2) { (reader) throws(CodingError) in
                let types = try reader.strings(1, "type of event")
                return types.isEmpty ? nil : types
            },
            description: try reader.change(3) { (reader) throws(CodingError) in
                try reader.optionalString(1, "description")
            }, isEnabled: try reader.optionalBool(4, "flag"))
    }
}
