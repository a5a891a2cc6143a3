// Pages shown through the proxy: their links lead through it, and nothing else of them changes.

import Testing

@testable import APIServer

@Suite struct LinkRewriterTests {
    /// The page in pieces of every size, which must make no difference.
    private func rewritten(_ page: String) -> String {
        let bytes = Array(page.utf8)
        let texts = [1, 2, 3, 7, max(1, bytes.count)].map { size -> String in
            var rewriter = LinkRewriter { $0.hasPrefix("/") ? "/proxy" + $0 : $0 }
            var passed: [UInt8] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                passed += rewriter.received(Array(bytes[start..<min(start + size, bytes.count)]))
            }
            return String(decoding: passed + rewriter.ended(), as: UTF8.self)
        }
        #expect(Set(texts).count == 1, "pieces make no difference")
        return texts[0]
    }

    @Test func linksLeadThroughTheProxy() {
        let pairs = [
            (#"<a href="/x">/x</a>"#, #"<a href="/proxy/x">/x</a>"#),
            (
                #"<A class='/c' HREF = '/x?a=1&amp;b=2#f' id=i>"#,
                #"<A class='/c' HREF = '/proxy/x?a=1&amp;b=2#f' id=i>"#
            ),
            (
                #"<img src=/x.png alt="a > b"><img src="/y"/>"#,
                #"<img src=/proxy/x.png alt="a > b"><img src="/proxy/y"/>"#
            ),
            (#"<a href="x">, <a href="//other/x">"#, #"<a href="x">, <a href="/proxy//other/x">"#),
            (
                #"<form action="" method=post><input formaction="/go" disabled>"#,
                #"<form action="" method=post><input formaction="/proxy/go" disabled>"#
            ),
            (
                #"<script src="/s.js"></script><script>if (a<b) x = '<a href="/no">'</script><link href="/yes">"#,
                #"<script src="/proxy/s.js"></script><script>if (a<b) x = '<a href="/no">'</script><link href="/proxy/yes">"#
            ),
        ]
        for (page, wanted) in pairs { #expect(rewritten(page) == wanted) }
    }

    @Test func everythingElseStays() {
        let pages = [
            "", "1 < 2 <3 << <a", "<!-- <a href=\"/x\"> --><!DOCTYPE html>", "<p href=\"/x\">", "<a href", "<a href=",
            "<a href=\"",
            "<a href=\"/unclosed>", "</a href=\"/x\">", "<style>a{background:url(/x)}</style>",
            "<a =\"/x\" ='/y' \"/z\">",
            "<title><a href=\"/x\"></title>", "\u{0}<\u{0}>", "<", "<>", "</>", "<a/>", "<!>", "<!-->",
        ]
        for page in pages { #expect(rewritten(page) == page) }
        let long = "<a title=\"" + String(repeating: "x", count: LinkRewriter.tagLimitBytes) + "\" href=\"/x\">"
        #expect(rewritten(long) == long, "a tag beyond the limit passes as it is")
    }
}
