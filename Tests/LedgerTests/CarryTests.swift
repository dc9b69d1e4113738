import Testing

@Suite("A price that carries fractions charges the exact sum of all events, rounded up once")
struct CarryTests {
    @Test("A thousand calls of one token at 3 mc per 1,000 cost 3 mc")
    func sum() throws {
        let single = (0..<1_000).map { number in
            "use alice 1 tokens -> ok \([0, 333, 666].contains(number) ? 1 : 0)"
        }
        try ledger(
            """
            price tokens 3 per 1000 carry
            grant alice 1000
            \(single.joined(separator: "\n"))
            balance alice 997
            use alice 1000 tokens -> ok 3
            """)
    }

    @Test("A check estimates with the same remainder")
    func check() throws {
        try ledger(
            """
            price tokens 3 per 1000 carry
            grant alice 1
            use alice 100 tokens -> ok 1
            check alice 233 tokens -> allowed
            check alice 234 tokens -> insufficient_credits 233
            use alice 233 tokens -> ok 0
            use alice 1 tokens -> insufficient_credits 1 of 0
            """)
    }

    @Test("A refund does not move the remainder, and neither does a hold")
    func refund() throws {
        try ledger(
            """
            price tokens 3 per 1000 carry
            grant alice 100
            use alice 1 tokens -> ok 1
            refund alice e2 -> ok 1
            reserve alice 500 tokens
            reservation alice r1 active held 1
            release alice r1
            use alice 332 tokens -> ok 0
            use alice 1 tokens -> ok 1
            """)
    }

    @Test("Each end user, rule version, row and dimension has a remainder of its own")
    func apart() throws {
        try ledger(
            """
            price chat dimensions in=carry:3/10 out=carry:5/3
            price bits rows model=small:carry:3/10 else:carry:1/10
            grant alice 100
            grant bob 100
            use alice in=1 chat -> ok 1
            use alice out=1 chat -> ok 2
            use alice in=2,out=1 chat -> ok 2
            use bob in=1 chat -> ok 1
            use alice 1 bits with model=small -> ok 1
            use alice 1 bits -> ok 1
            use alice 2 bits with model=small -> ok 0
            use alice 9 bits -> ok 0
            price chat dimensions in=carry:3/10 out=carry:5/3
            use alice in=1 chat -> ok 1
            """)
    }

    @Test("A job costs what its units cost as events, with and without progress")
    func jobs() throws {
        try ledger(
            """
            price tokens 3 per 1000 carry
            grant alice 100
            use alice 100 tokens -> ok 1
            reserve alice 1000 tokens
            progress alice r1 100 -> ok 0
            use alice 100 tokens -> ok 0
            progress alice r1 133 -> ok 0
            progress alice r1 134 -> ok 1
            commit alice r1 800 -> ok 1
            use alice 1 tokens -> ok 1
            """)
    }

    @Test("A commit that is cut to the credits there are moves the remainder by its exact price")
    func capped() throws {
        try ledger(
            """
            price tokens 3 per 10 carry
            grant alice 2
            reserve alice 5 tokens
            commit alice r1 10 cap -> ok 2
            grant alice 10
            use alice 1 tokens -> ok 1
            """)
    }

    @Test("A commit with the attributes of another row takes its progress out of the remainder of the old row")
    func otherRow() throws {
        try ledger(
            """
            price bits rows model=small:carry:3/10 else:carry:7/10
            grant alice 100
            use alice 3 bits with model=small -> ok 1
            reserve alice 10 bits with model=small
            progress alice r1 4 -> ok 2
            commit alice r1 10 with model=large -> ok 5
            reservation alice r1 committed charged 7
            use alice 1 bits with model=small -> ok 1
            use alice 2 bits with model=small -> ok 0
            balance alice 91
            """)
    }
}
