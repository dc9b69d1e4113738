import Testing

@Suite("Reservations and commits in credits take attributes")
struct CreditsWithAttributesTests {
    @Test("They choose the counters exactly as for units, and a commit without its own has those of the reservation")
    func counters() throws {
        try ledger(
            """
            grant alice 1000
            limit alice member 100 credits per day by member
            limit alice large 70 credits per day where model=large
            reserve alice 60cr with member=ann -> ok 1
            last alice reserve 0 reserved 60 of api with member=ann
            limited alice member for ann 60
            limited alice member 0
            check alice 41cr with member=ann -> spend_cap_reached
            reserve alice 41cr with member=ann -> spend_cap_reached member
            reserve alice 71cr with member=ben,model=large -> spend_cap_reached large
            reserve alice 71cr with member=ben,model=small -> ok 2
            commit alice r1 40cr -> ok 40 20
            last alice commit -40 of api with member=ann
            limited alice member for ann 40
            limited alice large 0
            """)
    }

    @Test("A commit in credits with other attributes leaves the counters of its reservation")
    func otherAttributes() throws {
        try ledger(
            """
            grant alice 1000
            limit alice member 100 credits per day by member
            use alice 80 with member=cat
            reserve alice 60cr with member=ann
            reserve alice 50 with member=ann -> spend_cap_reached member
            reserve alice 40 with member=ann
            commit alice r1 30cr with member=cat -> spend_cap_reached member
            commit alice r1 30cr with member=ben -> ok 30 30
            last alice commit -30 of api with member=ben
            limited alice member for ann 40
            limited alice member for ben 30
            commit alice r2 20cr with member=cat -> ok 20 20
            limited alice member for ann 0
            limited alice member for cat 100
            """)
    }

    @Test("They choose no price; progress of a hold in credits is priced by its attributes")
    func price() throws {
        try ledger(
            """
            price bits rows model=small:2/1 model=large:5/1
            grant alice 1000
            reserve alice 20cr bits with model=tiny -> ok 1
            progress alice r1 1 -> feature_not_priced bits
            commit alice r1 10cr with model=none -> ok 10
            reserve alice 20cr bits with model=large
            progress alice r2 2 -> ok 10
            commit alice r2 5 with model=small -> ok 0 10 0 0
            reservation alice r2 committed charged 10
            """)
    }

    @Test("A limit that is set later counts them under their attributes")
    func limitSetLater() throws {
        try ledger(
            """
            grant alice 1000
            reserve alice 60cr with member=ann
            commit alice r1 40cr
            reserve alice 60cr with member=ann
            commit alice r2 25cr with member=ben
            reserve alice 60cr with member=ann
            limit alice member 500 credits per day by member
            limited alice member for ann 100
            limited alice member for ben 25
            limited alice member 0
            """)
    }
}
