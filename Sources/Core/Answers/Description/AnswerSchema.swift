package import Credits
package import JSON

/// A member of an answer. The text of a member is its name in `Fields`; a question mark behind it allows null.
struct AnswerMember: ExpressibleByStringLiteral {
    let member: JSONSchema.Member

    private init(_ text: String, _ schema: JSONSchema?, isRequired: Bool) {
        let isNullable = text.hasSuffix("?")
        let name = isNullable ? String(text.dropLast()) : text
        var schema = schema ?? Fields.all[name] ?? JSONSchema(.any)
        if isNullable { schema.isNullable = true }
        // A reference stands alone, unless null is allowed too.
        var isReference = false
        if case .component = schema.kind { isReference = !schema.isNullable }
        if !isReference, schema.description.isEmpty { schema.description = Fields.all[name]?.description ?? "" }
        member = JSONSchema.Member(name, schema, isRequired: isRequired)
    }

    init(stringLiteral text: String) { self.init(text, nil, isRequired: true) }

    /// A member with another schema than `Fields` has for its name.
    static func of(_ name: String, _ schema: JSONSchema) -> AnswerMember {
        AnswerMember(name, schema, isRequired: true)
    }

    /// A member that some answers do not have.
    static func maybe(_ name: String, _ schema: JSONSchema? = nil) -> AnswerMember {
        AnswerMember(name, schema, isRequired: false)
    }
}

extension JSONSchema {
    /// An object that the document has once, under a name.
    static func answer(_ name: String, _ members: AnswerMember...) -> JSONSchema {
        JSONSchema(.component(name: name, JSONSchema(.object(members.map(\.member)))))
    }

    /// An object without a name of its own.
    static func members(_ members: AnswerMember...) -> JSONSchema {
        JSONSchema(.object(members.map(\.member)))
    }

    static func list(of element: JSONSchema, _ description: String = "") -> JSONSchema {
        JSONSchema(.array(element), description)
    }

    /// A page of a list.
    package static func page(of element: JSONSchema) -> JSONSchema {
        let name = if case .component(let name, _) = element.kind { name } else { "" }
        return JSONSchema(
            .component(
                name: "\(name)List",
                members(.of("data", list(of: element, "The items of this page.")), .of("pagination", pagination))))
    }

    private static let pagination = answer("Pagination", "has_more", "next_cursor?")

    package static func id(_ kind: PublicIDKind, _ description: String? = nil) -> JSONSchema {
        JSONSchema(
            .string(Text(pattern: "^\(kind.rawValue)_[0-9a-hjkmnp-tv-z]{26}$")),
            description ?? "The id, which begins with `\(kind.rawValue)_`.",
            example: .string(PublicID(kind, Bits128(high: 0x019b_76da, low: 1)).description))
    }

    /// The names of a type's cases.
    static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ type: Choice.Type, _ description: String = ""
    ) -> JSONSchema {
        let names = Choice.allCases.map(\.rawValue)
        return JSONSchema(.choice(names), description, example: names.first.map { .string($0) })
    }

    /// Millicredits.
    static func amount(_ description: String, _ example: Int64 = 5_000, from lower: Int64 = 0) -> JSONSchema {
        JSONSchema(
            .integer(lower...Millicredits.limit), "\(description), in millicredits.", example: .integer(example))
    }

    /// Millicredits with a sign.
    static func signed(_ description: String, _ example: Int64 = 5_000) -> JSONSchema {
        amount(description, example, from: -Millicredits.limit)
    }

    static func number(_ description: String, _ example: Int64 = 1, in range: ClosedRange<Int64> = 0 ... .max)
        -> JSONSchema
    {
        JSONSchema(.integer(range), description, example: .integer(example))
    }

    static func instant(_ description: String, _ example: String = "2026-01-31T00:00:00.000Z") -> JSONSchema {
        JSONSchema(.string(Text(format: "date-time")), description, example: .string(example))
    }

    package static func text(
        _ description: String, _ example: String, _ bytes: ClosedRange<Int>? = nil, pattern: String? = nil
    ) -> JSONSchema {
        JSONSchema(.string(Text(bytes: bytes, pattern: pattern)), description, example: .string(example))
    }

    /// A key with the characters of feature keys.
    package static func key(_ description: String, _ example: String) -> JSONSchema {
        text(description, example, pattern: namePattern)
    }

    static let namePattern = "^[A-Za-z0-9_.:-]{1,64}$"

    static func flag(_ description: String, _ example: Bool = false) -> JSONSchema {
        JSONSchema(.boolean, description, example: .bool(example))
    }
}
