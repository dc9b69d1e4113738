import CRabbitMQ

/// Memory that holds strings while librabbitmq reads them.
///
/// `amqp_cstring_bytes` on a Swift string would keep a pointer to a temporary. Bytes lent here are valid until
/// `recycle()`.
final class ByteArena {
    private var pool = amqp_pool_t()

    init() { init_amqp_pool(&pool, 16 * 1_024) }

    deinit { empty_amqp_pool(&pool) }

    /// Invalidates all bytes that were lent.
    func recycle() { recycle_amqp_pool(&pool) }

    func lend(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { utf8 in
            guard let source = utf8.baseAddress, !utf8.isEmpty else { return amqp_bytes_t() }
            guard let copy = amqp_pool_alloc(&pool, utf8.count) else { return amqp_bytes_t() }
            copy.copyMemory(from: source, byteCount: utf8.count)
            return amqp_bytes_t(len: utf8.count, bytes: copy)
        }
    }

    func table(_ entries: [(name: String, value: FieldValue)]) -> amqp_table_t {
        guard !entries.isEmpty else { return amqp_table_t() }
        let size = entries.count * MemoryLayout<amqp_table_entry_t>.stride
        guard let memory = amqp_pool_alloc(&pool, size) else { return amqp_table_t() }
        let list = memory.bindMemory(to: amqp_table_entry_t.self, capacity: entries.count)
        for (index, entry) in entries.enumerated() {
            var field = amqp_table_entry_t()
            field.key = lend(entry.name)
            field.value = fieldValue(entry.value)
            list[index] = field
        }
        return amqp_table_t(num_entries: Int32(entries.count), entries: list)
    }

    private func fieldValue(_ value: FieldValue) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        switch value {
        case .text(let text):
            field.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
            field.value.bytes = lend(text)
        case .integer(let integer):
            field.kind = UInt8(AMQP_FIELD_KIND_I64.rawValue)
            field.value.i64 = integer
        case .boolean(let boolean):
            field.kind = UInt8(AMQP_FIELD_KIND_BOOLEAN.rawValue)
            field.value.boolean = boolean ? 1 : 0
        case .table(let entries):
            field.kind = UInt8(AMQP_FIELD_KIND_TABLE.rawValue)
            field.value.table = table(entries)
        }
        return field
    }
}

/// A value in an AMQP table.
enum FieldValue {
    case text(String)
    case integer(Int64)
    case boolean(Bool)
    case table([(name: String, value: FieldValue)])
}

extension String {
    /// A copy of bytes that belong to librabbitmq. Bytes that are not UTF-8 are replaced.
    init(copying bytes: amqp_bytes_t) {
        self.init(decoding: UnsafeRawBufferPointer(start: bytes.bytes, count: bytes.len), as: UTF8.self)
    }
}
