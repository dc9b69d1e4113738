import Testing

@Suite("A top-up makes a block of the bought credits")
struct TopUpTests {
    @Test("Credits are given with the price that was paid, which places the block after free ones")
    func credits() throws {
        try ledger(
            """
            topup alice 100 price 500 as paid
            topup alice 50 price 0 as gift
            topup alice 10 as unsaid
            block alice paid source topup priority 50 expires never paid original 100
            block alice gift free
            block alice unsaid free
            blocks alice gift 50 unsaid 10 paid 100
            last alice grant 10 balance 160
            """)
    }

    @Test("A package brings its credits, price, expiry and priority, where the top-up states no others")
    func package() throws {
        try ledger(
            """
            package small 100 price 500 P1M priority 20
            topup alice small as default
            block alice default original 100 paid priority 20 expires 2026-05-12
            topup alice small price 0 p7 +1d only api as other
            block alice other original 100 free priority 7 expires 2026-04-13 only api
            topup alice small never as kept
            block alice kept expires never
            """)
    }

    @Test("A missing or an archived package is refused")
    func unknownPackage() throws {
        try ledger(
            """
            package old 100 price 500 archived
            topup alice old -> unknown_package
            topup alice none -> unknown_package
            topup alice none +0s only nothing -> unknown_package
            topup alice 1 +0s only nothing -> expires_in_the_past
            topup alice 1 only nothing -> unknown_feature
            entries alice 0
            """)
    }
}
