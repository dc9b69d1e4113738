/// URLs that must not lead a delivery to anything that is not public, and answers of resolvers that must be refused.
enum HostileTargets {
    /// URLs that are refused as text, before anything is resolved.
    static let urls: [String] = [
        // Other schemes and no scheme.
        "", "/", "example.com", "//example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
        "javascript:alert(1)", "http:/example.com/", "http:example.com", "https:///example.com", "http://",
        "HTTP://", "ws://example.com/", "dict://example.com:11211/", "httpss://example.com/", " http://example.com/",
        "jar:http://example.com!/", "data:text/plain,x", "unix:///var/run/docker.sock", "ldap://127.0.0.1/",
        // User information and tricks with the authority.
        "http://user@example.com/", "http://user:password@example.com/", "http://example.com@127.0.0.1/",
        "http://127.0.0.1@example.com/", "http://example.com:80@127.0.0.1/", "http://@example.com/",
        "http://example.com%40127.0.0.1/", "http://example.com%2f@127.0.0.1/", "http://example.com#@127.0.0.1/",
        "http://example.com\\@127.0.0.1/", "http://example.com\\.127.0.0.1/", "http:\\\\127.0.0.1\\", "http://a:b:c/",
        "http://[::1]@example.com/", "http://example.com:80:80/", "http://1.1.1.1 &@2.2.2.2# @3.3.3.3/",
        // Fragments, control characters, white space.
        "http://example.com/#x", "http://example.com/\n", "http://example.com/\r\nHost: 127.0.0.1",
        "http://exa mple.com/",
        "http://example.com/ a", "http://example.com/\t", "http://example.com/\u{0}",
        "http://example.com\u{0}.evil.com/",
        "http://127.0.0.1\u{2044}@example.com/", "http://example.com/\"", "http://example.com/<a>",
        "http://example.com/{a}",
        // Ports.
        "http://example.com:/", "http://example.com:0/", "http://example.com:65536/", "http://example.com:080/",
        "http://example.com:+80/", "http://example.com:-1/", "http://example.com:8e1/", "http://example.com:0x50/",
        "http://example.com:99999999999999999999/", "http://example.com:8 0/", "https://example.com: 443/",
        // Addresses of version 4 in other forms: decimal, octal, hexadecimal, short, mixed, with leading zeros.
        "http://2130706433/", "http://017700000001/", "http://0x7f000001/", "http://0x7F.1/", "http://127.1/",
        "http://127.0.1/", "http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://0x7f.0x0.0x0.0x1/", "http://127.0.0.01/",
        "http://127.000.000.001/", "http://00000000177.0.0.1/", "http://3232235777/", "http://0xc0a80101/",
        "http://192.168.257/", "http://169.16689662/", "http://2852039166/", "http://0xA9FEA9FE/",
        "http://0251.0376.0251.0376/",
        "http://169.254.0xa9fe/", "http://425.510.425.510/", "http://127.0.0.1.1/", "http://127.0.0.256/", "http://0/",
        "http://0x/", "http://0x0/", "http://1/", "http://127.0.0.1./", "http://127..0.1/", "http://.127.0.0.1/",
        "http://127.0.0.1..nip/", "http://a.0x7f/", "http://example.1/", "http://4294967296/", "http://127.0.0.-1/",
        // Addresses of version 6 in other forms.
        "http://::1/", "http://[::1/", "http://::1]/", "http://[::1%25lo]/", "http://[fe80::1%25eth0]/",
        "http://[::1%lo]/",
        "http://[]/", "http://[:]/", "http://[:::]/", "http://[1::2::3]/", "http://[0:0:0:0:0:0:0:0:1]/",
        "http://[12345::]/", "http://[::ffff:0177.0.0.1]/", "http://[::ffff:127.1]/", "http://[::127.0.0.1]x/",
        "http://[127.0.0.1]/", "http://[v1.fe80::a]/", "http://[::g]/", "http://[::1]8080/", "http://[+1::]/",
        // Names that another parser might turn into an address, or that are no names.
        "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://ⓛocalhost/", "http://loc\u{AD}alhost/", "http://münchen.de/",
        "http://%31%32%37.0.0.1/", "http://%6c%6fcalhost/", "http://localhost%00.example.com/",
        "http://-a.example.com/",
        "http://a-.example.com/", "http://a..b/", "http://.example.com/", "http://example.com./", "http://localhost./",
        "http://a,b/", "http://a;b/", "http://a!b/", "http://$host/", "http://*.example.com/", "http://(a)/",
        "http://a'b/",
        "http://" + String(repeating: "a", count: 64) + ".com/",
        "http://" + String(repeating: "a.", count: 130) + "com/",
        "http://example.com/" + String(repeating: "a", count: 2_048), "http://?@127.0.0.1/", "http://?x", "https://#",
    ]

    /// Answers of a resolver, or addresses in a URL, and what they are. The first one of each is tried as a URL as well.
    static let answers: [(answers: [String], kind: String)] = [
        (["127.0.0.1"], "loopback"), (["127.255.255.254"], "loopback"), (["0.0.0.0"], "unspecified"),
        (["0.1.2.3"], "unspecified"), (["10.0.0.1"], "private"), (["10.255.255.255"], "private"),
        (["172.16.0.1"], "private"), (["172.31.255.255"], "private"), (["192.168.0.1"], "private"),
        (["192.168.255.255"], "private"), (["100.64.0.1"], "private"), (["100.127.255.255"], "private"),
        (["100.100.100.200"], "metadata"), (["169.254.169.254"], "metadata"), (["169.254.0.1"], "link-local"),
        (["169.254.170.2"], "link-local"), (["168.63.129.16"], "metadata"), (["192.0.0.1"], "reserved"),
        (["192.0.0.192"], "reserved"), (["192.0.2.1"], "documentation"), (["198.51.100.7"], "documentation"),
        (["203.0.113.9"], "documentation"), (["192.88.99.1"], "reserved"), (["198.18.0.1"], "reserved"),
        (["198.19.255.255"], "reserved"), (["224.0.0.1"], "multicast"), (["239.255.255.250"], "multicast"),
        (["240.0.0.1"], "reserved"), (["255.255.255.255"], "reserved"),
        (["::"], "unspecified"), (["::1"], "loopback"), (["::2"], "reserved"), (["::7f00:1"], "reserved"),
        (["::ffff:127.0.0.1"], "loopback"), (["::ffff:10.1.2.3"], "private"), (["::ffff:169.254.169.254"], "metadata"),
        (["::ffff:0.0.0.0"], "unspecified"), (["::ffff:7f00:1"], "loopback"), (["::ffff:c0a8:101"], "private"),
        (["64:ff9b::7f00:1"], "loopback"), (["64:ff9b::169.254.169.254"], "metadata"), (["64:ff9b::a00:1"], "private"),
        (["64:ff9b:1::7f00:1"], "private"), (["2002:7f00:1::"], "loopback"), (["2002:a00:1::1"], "private"),
        (["2002:a9fe:a9fe::"], "metadata"), (["2002:c0a8:101::1"], "private"), (["2001::1"], "reserved"),
        (["2001:0:4136:e378:8000:63bf:3fff:fdd2"], "reserved"), (["2001:10::1"], "reserved"),
        (["2001:2::1"], "reserved"),
        (["2001:db8::1"], "documentation"), (["3fff::1"], "documentation"), (["fc00::1"], "private"),
        (["fd12::1"], "private"),
        (["fd00:ec2::254"], "metadata"), (["fe80::1"], "link-local"), (["febf::1"], "link-local"),
        (["fec0::1"], "private"),
        (["ff02::1"], "multicast"), (["ff0e::1"], "multicast"), (["100::1"], "reserved"), (["4000::1"], "reserved"),
        (["8000::1"], "reserved"), (["1000::1"], "reserved"), (["0:0:0:1::1"], "reserved"),
        (["::ffff:0:127.0.0.1"], "reserved"),
        // Several answers, of which one is not public, at any place.
        (["93.184.215.14", "127.0.0.1"], "loopback"), (["127.0.0.1", "93.184.215.14"], "loopback"),
        (["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"], "loopback"),
        (["1.1.1.1", "8.8.8.8", "10.0.0.1"], "private"),
        (["1.1.1.1", "fe80::1"], "link-local"), (["::ffff:127.0.0.1", "1.1.1.1"], "loopback"),
    ]
}
