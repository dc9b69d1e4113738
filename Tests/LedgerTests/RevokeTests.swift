import Testing

@Suite("A revocation takes back the unspent part of a block")
struct RevokeTests {
    @Test("Spent credits stay spent")
    func unspent() throws {
        try ledger(
            """
            grant alice 100 p1 as bought
            grant alice 50 p2
            use alice 30
            revoke alice bought -> ok 70
            last alice revoke -70 balance 50 from bought 70 effective +0s
            block alice bought revoked remaining 0
            """)
    }

    @Test("A repeated revocation, or one of a spent block, takes nothing and writes nothing")
    func again() throws {
        try ledger(
            """
            grant alice 100
            revoke alice b1 -> ok 100
            revoke alice b1 -> ok 0
            entries alice 2
            grant alice 10
            use alice 10
            revoke alice b2 -> ok 0
            entries alice 4
            refund alice e4 -> ok 10 0 10          # the spent block was revoked nevertheless
            balance alice 0
            revoke alice b3 -> unknown_block
            """)
    }

    @Test("A held part is taken when its hold ends, by release, by lapse or by a smaller commit")
    func held() throws {
        try ledger(
            """
            grant alice 100
            reserve alice 30
            reserve alice 20 ttl 600
            reserve alice 10
            revoke alice b1 -> ok 40
            balance alice 60
            spendable alice api 0
            release alice r1
            last alice revoke -30 balance 30 from b1 30
            commit alice r3 4 -> ok 4 6
            last alice revoke -6 balance 20
            at +600s
            balance alice 0
            advance alice
            log alice release revoke
            last alice revoke -20 effective +0s
            """)
    }
}
