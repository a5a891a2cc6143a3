// XML as Eureka clients send it, and as it must be refused.

import Formats
import Testing

@testable import EurekaServer

@Suite struct XMLTests {
    private func read(_ text: String, limits: XMLLimits = XMLLimits()) throws -> XMLDocument {
        try XMLDocument(parsing: Array(text.utf8), limits: limits)
    }

    @Test func elementsBecomeMembers() throws {
        let document = try read(
            """
            <?xml version="1.0" encoding="UTF-8"?>
            <!-- from a client -->
            <instance>
              <hostName>a&amp;b &lt;c&gt; &quot;&apos; &#233;&#x1F30A; <![CDATA[<raw>&]]></hostName>
              <port enabled = "true">8080</port>
              <empty/><also></also>
              <dataCenterInfo
                class='com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo'><name>MyOwn</name></dataCenterInfo>
              <tag>1</tag><tag>2</tag><tag>3</tag>
              <metadata><a__b>1</a__b><c_-d>2</c_-d><e_.003af>3</e_.003af></metadata>
            </instance>
            """)
        #expect(document.name == "instance")
        #expect(
            document.content == [
                "hostName": "a&b <c> \"' é🌊 <raw>&", "port": ["@enabled": "true", "$": "8080"], "empty": "", "also": "",
                "dataCenterInfo": [
                    "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn",
                ], "tag": ["1", "2", "3"], "metadata": ["a_b": "1", "c$d": "2", "e:f": "3"],
            ])
    }

    @Test(arguments: [
        "", "text", "<a>", "<a></b>", "<a/><b/>", "<a><b></a></b>", "<a b/>", "<a b=c/>", "<a b='1' b='2'/>",
        "<a b='<'/>",
        "<a>&nbsp;</a>", "<a>&#0;</a>", "<a>&#xD800;</a>", "<a>&amp</a>", "<a>\u{1}</a>", "<1/>", "<a>x<b/></a>", "<a",
        "<a b",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a><?php 1 ?></a>", "<a><!-- </a>", "<a><![CDATA[</a>", "<a/>x",
        "</a>",
        "<a b='1'c='2'/>", "<a>&#x110000;</a>",
    ])
    func whatIsNotXMLIsRefused(_ text: String) {
        #expect(throws: FormatProblem.self) { try read(text) }
    }

    @Test func invalidBytesAreRefused() {
        #expect(throws: FormatProblem.self) {
            try XMLDocument(parsing: Array("<a>".utf8) + [0xFF] + Array("</a>".utf8))
        }
    }

    @Test func limitsHold() throws {
        let deep = String(repeating: "<a>", count: 16) + String(repeating: "</a>", count: 16)
        _ = try read(deep)
        #expect(throws: FormatProblem.self) { try read("<a>" + deep + "</a>") }
        var limits = XMLLimits()
        limits.elements = 3
        _ = try read("<a><b/><b/></a>", limits: limits)
        #expect(throws: FormatProblem.self) { try read("<a><b/><b/><b/></a>", limits: limits) }
        limits.attributes = 1
        #expect(throws: FormatProblem.self) { try read("<a b='1' c='2'/>", limits: limits) }
    }

    @Test(arguments: [
        "plain", "a_b", "$ref", "preserved.register.source", "1st", "a b", "a:b", "ü🌊", "_", "__", "a-b", "-a", "<&>",
    ])
    func everyKeyIsAName(_ key: String) throws {
        let name = XMLName.encoded(key)
        #expect(XMLName.decoded(name) == key)
        #expect(!name.contains(":"))
        let document = try read("<m><\(name)>1</\(name)></m>")
        #expect(document.content[key]?.string == "1")
    }
}
