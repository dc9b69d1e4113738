import Testing

@testable import Webhooks

@Suite("Targets of webhooks")
struct TargetTests {
    @Test("a URL of a hostile form is refused as text", arguments: HostileTargets.urls)
    func hostileURLs(text: String) {
        #expect(WebhookURL(text) == nil)
    }

    @Test("an address that is not public is refused as an answer and in a URL", arguments: HostileTargets.answers)
    func hostileAnswers(texts: [String], kind: String) throws {
        let addresses = try texts.map { try #require(IPAddress($0)) }
        for port in [80, 443] as [UInt16] {
            let refusal = #expect(throws: TargetRules.Refusal.self) {
                try TargetRules().choose(addresses, port: port)
            }
            guard case .address(_, let found)? = refusal else {
                Issue.record("\(texts) is refused as \(refusal as Any)")
                continue
            }
            #expect(found.contains(kind), "\(texts): \(found)")
        }
        // The same address in a URL, in its canonical spelling, is read as that address.
        let host = texts[0].contains(":") ? "[\(texts[0])]" : texts[0]
        let url = try #require(WebhookURL("https://\(host)/"))
        #expect(url.host == .address(addresses[0]))
    }

    @Test("there are at least 150 hostile targets, none of them twice")
    func count() {
        #expect(Set(HostileTargets.urls).count == HostileTargets.urls.count)
        #expect(HostileTargets.urls.count + HostileTargets.answers.count >= 150)
    }

    @Test(
        "a public address is allowed on ports 80 and 443 only",
        arguments: [
            "1.1.1.1", "93.184.215.14", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0",
            "9.255.255.255",
            "11.0.0.0", "128.0.0.1", "169.253.255.255", "192.0.1.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
            "2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "64:ff9b::101:101", "::ffff:1.1.1.1",
            "2002:101:101::1",
            "3fff:1000::1",
        ])
    func publicAddresses(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(try TargetRules().choose([address], port: 443) == address)
        #expect(try TargetRules().choose([address], port: 80) == address)
        for port in [1, 22, 25, 79, 81, 442, 444, 5_432, 6_379, 8_080, 65_535] as [UInt16] {
            #expect(throws: TargetRules.Refusal.port(port)) { try TargetRules().choose([address], port: port) }
        }
    }

    @Test("a name without an address is refused")
    func noAnswer() {
        #expect(throws: TargetRules.Refusal.noAddress) { try TargetRules().choose([], port: 443) }
    }

    @Test("a network that the operator names is allowed on every port, and no other one with it")
    func allowed() throws {
        let networks = ["127.0.0.0/8", "::1/128", "10.1.0.0/16"].compactMap { IPNetwork($0) }
        let rules = TargetRules(allowed: networks)
        for text in ["127.0.0.1", "127.9.9.9", "::1", "10.1.255.255", "::ffff:127.0.0.1"] {
            let address = try #require(IPAddress(text))
            #expect(try rules.choose([address], port: 9_999) == address)
        }
        for text in ["10.2.0.0", "10.0.255.255", "::2", "192.168.0.1", "0.0.0.0"] {
            let address = try #require(IPAddress(text))
            #expect(throws: TargetRules.Refusal.self) { try rules.choose([address], port: 80) }
        }
        #expect(throws: TargetRules.Refusal.self) {
            try rules.choose([.v4(0x7F00_0001), .v4(0x0A02_0001)], port: 80)
        }
    }

    @Test(
        "a network is read in one form",
        arguments: [
            "", "10.0.0.0/33", "10.0.0.1/8", "::/129", "10.0.0.0/-1", "10.0.0/8", "10.0.0.0/8/8", "10.0.0.0/ 8", "a",
            "::1/64",
        ])
    func networks(text: String) {
        #expect(IPNetwork(text) == nil)
    }

    @Test(
        "an address is written in its one spelling",
        arguments: [
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("0:0:0:0:0:0:0:1", "::1"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
            ("2001:DB8::A", "2001:db8::a"), ("::ffff:1.2.3.4", "::ffff:102:304"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"), ("1.2.3.4", "1.2.3.4"), ("255.255.255.255", "255.255.255.255"),
        ])
    func spelling(text: String, expected: String) {
        #expect(IPAddress(text)?.description == expected)
    }

    @Test(
        "a URL is composed of its parts again",
        arguments: [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://EXAMPLE.com:443/A?b=C", "https://example.com/A?b=C"),
            ("http://example.com:8080", "http://example.com:8080/"),
            ("http://example.com?x=1", "http://example.com/?x=1"),
            ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443/x"), ("http://1.2.3.4:80/", "http://1.2.3.4/"),
            ("https://a_b.example.co.uk/%41?q=a@b:c", "https://a_b.example.co.uk/%41?q=a@b:c"),
            ("https://xn--mnchen-3ya.de/", "https://xn--mnchen-3ya.de/"), ("http://0x.com/", "http://0x.com/"),
            ("http://1.2.3.4.com/", "http://1.2.3.4.com/"),
            ("http://localhost:3000/hooks", "http://localhost:3000/hooks"),
        ])
    func urls(text: String, expected: String) throws {
        let url = try #require(WebhookURL(text))
        #expect(url.text == expected)
        #expect(WebhookURL(url.text) == url)
    }
}
