"""Test vectors that RFCs print, as hex: data only.

Figures only, found where the test suites of libreswan, OpenDataPlane and ell
quote the RFCs; each is checked against `cryptography` or `hmac` where it is
used.
"""

from __future__ import annotations

from typing import NamedTuple


class Cbc(NamedTuple):
    key: str
    iv: str
    plain: str
    cipher: str


class Ctr(NamedTuple):
    key: str
    nonce: str
    iv: str
    plain: str
    cipher: str


class CbcPacket(NamedTuple):
    """Before and after; ``protected`` has no ICV."""

    mode: str
    key: str
    seq: int
    iv: str
    plain: str
    protected: str


class Aead(NamedTuple):
    """``head`` is SPI and sequence number as the ICV covers them: 8 octets, or 12 with ESN."""

    key: str
    salt: str
    iv: str
    head: str
    plain: str
    sealed: str


# RFC 3602 section 4, cases 1 to 4.
RFC3602_CIPHER = (
    Cbc(
        "06a9214036b8a15b512e03d534120006",
        "3dafba429d9eb430b422da802c9fac41",
        b"Single block msg".hex(),
        "e353779c1079aeb82708942dbe77181a",
    ),
    Cbc(
        "c286696d887c9aa0611bbb3e2025a45a",
        "562e17996d093d28ddb3ba695a2e6f58",
        bytes(range(32)).hex(),
        "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
    ),
    Cbc(
        "6c3ea0477630ce21a2ce334aa746c2cd",
        "c782dc4c098c66cbd9cd27d825682c81",
        b"This is a 48-byte message (exactly 3 AES blocks)".hex(),
        "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684",
    ),
    Cbc(
        "56e47a38c5598974bc46903dba290349",
        "8ce82eefbea0da3c44699ed7db51b7d9",
        bytes(range(0xA0, 0xE0)).hex(),
        "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e"
        "35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55",
    ),
)

# RFC 3602 section 4, cases 5 to 8: whole packets.
_KEY_5, _KEY_7 = "90d382b410eeba7ad938c46cec1a82bf", "0123456789abcdef0123456789abcdef"
RFC3602_PACKET = {
    5: CbcPacket(
        "transport",
        _KEY_5,
        1,
        "e96e8c08ab465763fd098d45dd3ff893",
        "4500005408f200004001f9fec0a87b03c0a87b64"
        "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "202122232425262728292a2b2c2d2e2f3031323334353637",
        "4500007c08f200004032f9a5c0a87b03c0a87b640000432100000001e96e8c08ab465763fd098d45dd3ff893"
        "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856a4699e523a55db08"
        "0b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6",
    ),
    6: CbcPacket(
        "transport",
        _KEY_5,
        8,
        "69d08df7d203329db093fc4924e5bd80",
        "4500003008fe00004001fa16c0a87b03c0a87b640800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
        "4500004c08fe00004032f9c9c0a87b03c0a87b64000043210000000869d08df7d203329db093fc4924e5bd80"
        "f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75",
    ),
    7: CbcPacket(
        "tunnel",
        _KEY_7,
        2,
        "f4e765244f6407adf13dc1380f673f37",
        "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a20400"
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637",
        "4500008c090500004032f91ec0a87b03c0a87bc80000876500000002f4e765244f6407adf13dc1380f673f37"
        "773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad"
        "7a0f022b859243c647752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a"
        "109e0ca1e4dfe9d5a100b842f1c22f0d",
    ),
    8: CbcPacket(
        "tunnel",
        _KEY_7,
        5,
        "85d47224b5f3dd5d2101d4ea8dffab22",
        "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300" + "ff" * 32,
        "4500007c090d00004032f926c0a87b03c0a87bc8000087650000000585d47224b5f3dd5d2101d4ea8dffab22"
        "15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3"
        "a1b06d5c07ff9639b7eb7dfb3512e5de435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892",
    ),
}

# RFC 3686 section 6, vectors 1 to 9.
_SINGLE, _TWO, _MORE = b"Single block msg".hex(), bytes(range(32)).hex(), bytes(range(36)).hex()
RFC3686 = (
    Ctr("ae6852f8121067cc4bf7a5765577f39e", "00000030", "00" * 8, _SINGLE, "e4095d4fb7a7b3792d6175a3261311b8"),
    Ctr(
        "7e24067817fae0d743d6ce1f32539163",
        "006cb6db",
        "c0543b59da48d90b",
        _TWO,
        "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28",
    ),
    Ctr(
        "7691be035e5020a8ac6e618529f9a0dc",
        "00e0017b",
        "27777f3f4a1786f0",
        _MORE,
        "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2072f",
    ),
    Ctr(
        "16af5b145fc9f579c175f93e3bfb0eed863d06ccfdb78515",
        "00000048",
        "36733c147d6d93cb",
        _SINGLE,
        "4b55384fe259c9c84e7935a003cbe928",
    ),
    Ctr(
        "7c5cb2401b3dc33c19e7340819e0f69c678c3db8e6f6a91a",
        "0096b03b",
        "020c6eadc2cb500d",
        _TWO,
        "453243fc609b23327edfaafa7131cd9f8490701c5ad4a79cfc1fe0ff42f4fb00",
    ),
    Ctr(
        "02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe",
        "0007bdfd",
        "5cbd60278dcc0912",
        _MORE,
        "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188abee0935",
    ),
    Ctr(
        "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104",
        "00000060",
        "db5672c97aa8f0b2",
        _SINGLE,
        "145ad01dbf824ec7560863dc71e3e0c0",
    ),
    Ctr(
        "f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884",
        "00faac24",
        "c1585ef15a43d875",
        _TWO,
        "f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a5530831d9344af1c",
    ),
    Ctr(
        "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d",
        "001cc5b7",
        "51a51d70a1c11148",
        _MORE,
        "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f1ec0e6b8",
    ),
)

# draft-mcgrew-gcm-test-01 section 4, "AES-GCM", in its order.  The draft's plaintexts end in
# next header 1, whatever comes before: as transport mode packets they are whole deliveries.
_KEY_GCM, _KEY_256 = "3de09874b388e6491988d0c3607eae1f", "abbccddef00112233445566778899aab" * 2
_ID, _IV_FA = "42f67e3f1010101010101010", "facedbaddecaf888"
MCGREW_GCM = {
    1: Aead(
        "4c80cdefbb5d10da906ac73c3613a634",
        "2e443b68",
        "4956ed7e3b244cfe",
        "000043218765432100000000",
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f756470037369"
        "700963796265726369747902646b000021000101020201",
        "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1f4a13c5d"
        "15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732459018148f6cbe722fd04796562dfdb4",
    ),
    2: Aead(
        "feffe9928665731c6d6a8f9467308308",
        "cafebabe",
        _IV_FA,
        "0000a5f80000000a",
        "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d0010000010000000000000373697009637962"
        "65726369747902646b00000100010001",
        "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f51330d0eec416642"
        "cfbb85a5b47e48a4ec3b9ba95d918bd183b70d3aa8bc6ee4c309e9d85a41ad4a",
    ),
    3: Aead(
        _KEY_256,
        "11223344",
        "0102030405060708",
        "4a2cbfe300000002",
        "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b40101040201020201",
        "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f0545659f14e99d"
        "ef842d8eb335f4eecfdbf831824b4c4915956c96",
    ),
    4: Aead(
        "00" * 16,
        "00" * 4,
        "00" * 8,
        "0000000000000001",
        "4500003c99c500008001cb7a40679318010101010800075c020044006162636465666768696a6b6c6d6e6f7071727374"
        "75767761626364656667686901020201",
        "4688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a284456476492719ffb64de7d9dca1e1d894"
        "bc3bd57873ed4d181d19d4d5c8c18af3f821d496eeb096e98ad2b69e4799c71d",
    ),
    5: Aead(
        _KEY_GCM,
        "57690e43",
        "4e280000a2fca1a3",
        _ID,
        "4500003c99c300008001cb7c40679318010101010800085c020043006162636465666768696a6b6c6d6e6f7071727374"
        "75767761626364656667686901020201",
        "fba2caa4853cf9f0f22cb10d86dd83b0fec75691cf1a04b00d1138ec9c35791765acbd8701ad79845bf9fe3fba487bc9"
        "1755e6662b4c8d0d1f5e22739530320ae0d731cc978ecafaeae88f00e80d6e48",
    ),
    6: Aead(
        _KEY_GCM,
        "57690e43",
        "4e280000a2fca1a3",
        _ID,
        "4500001c42a200008001441f406793b6e00000020a00f5ff01020201",
        "fba2ca845e5df9f0f22c3e6e86dd831e1fc65792cd1af9130e1379ed369f071f35e034be95f112e4e7d05d35",
    ),
    7: Aead(
        "feffe9928665731c6d6a8f9467308308feffe9928665731c",
        "cafebabe",
        _IV_FA,
        "0000a5f80000000a",
        "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001",
        "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc7795457b9652037f53"
        "18027b5b4cd7a636",
    ),
    8: Aead(
        "abbccddef00112233445566778899aab",
        "decaf888",
        "cafedebaceface74",
        "000001000000000000000001",
        "4500004933ba00007f119106c3fb1d10c2b1d326c02831ce0035dd7b800302d500004e20001e8c18d75b81dc91baa047"
        "6b91b924b280389d92c963bac046ec959b6266c04722b14923010101",
        "18a6fd42f72cbf4ab2a2ea901f73d814e3e7f243d95412e1c349c1d2fbec168f9190feebaf2cb01984e65863965d7472"
        "b79da345e0e780191f0d2f0e0f496c226f2127b27db35724e7845d68651f57e65f354f75ff17015769623436",
    ),
    9: Aead(
        _KEY_256,
        "73616c74",
        "616e640169766563",
        "17405e67156f3126dd0db99b",
        "45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb71260250101f646d540001",
        "f2d69ecdbd5a0d5b8d5ef38bad4da58d1f278fde98ef67549d524a3018d9a57ff4d3a31ce673119e451626c2415771e3"
        "b7eebca614c89b35",
    ),
    10: Aead(
        _KEY_GCM,
        "57690e43",
        "4e280000a2fca1a3",
        _ID,
        "45000049333e00007f119182c3fb1d10c2b1d326c02831ce0035cb458003025b000001e0001e8c18d65759d52284a035"
        "2c71475c8880391c764d6e5ee0496b325ae270c03899493915010101",
        "fba2cad12fc1f9f00d3cebf305410db83d7784b607323d220f24b0a97d54182800cadb0f68d99ef0e0c0c89ae9bea888"
        "4e52d65bc1afd0740f742444747b5b39ab533163aad4550ee5160975cdb608c5769189609763b8e18caa81e2",
    ),
    11: Aead(
        _KEY_256,
        "73616c74",
        "616e640169766563",
        "17405e67156f3126dd0db99b",
        "636973636f0172756c657301746865016e6574776501646566696e6501746865746563686e6f6c6f6769657301746861"
        "7477696c6c01646566696e65746f6d6f72726f7701020201",
        "d4b7ed86a1777f2ea13d6973d324c69e7b43f826fb56831226508bebd2dceb18d0a6df10e5487df074113e14c641024e"
        "3e6773d91a62ee429b043a10e3efe6b012a49363412364f8c0cac587f249e56b11e24f30e44ccc76",
    ),
    12: Aead(
        "7d773d00c144c525ac619d18c84a3f47",
        "d9664267",
        "43457e9182443bc6",
        "335467aeffffffff",
        "01020201",
        "437f866bcb3f699fe9b0822bac961c4504bef270",
    ),
    13: Aead(
        "abbccddef00112233445566778899aab",
        "decaf888",
        "cafedebaceface74",
        "000001000000000000000001",
        "746f016265016f72016e6f7401746f0162650001",
        "29c9fc69a197d038ccdd14e2ddfcaa0543332164412503524303ed3c6c5f283843af8c3e",
    ),
    14: Aead(
        "6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961",
        "7475726e",
        "333021696765746d",
        "796b6963ffffffffffffffff",
        "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364" + "65666768696a6b6c6d6e6f707172737401020201",
        "f97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39b49c3a864cd3d78ca4ae68a32b42458fb57dbe82"
        "1dcc63b9d0937ba2945f669368661a329fb4c053",
    ),
}

# The same draft, "AES-GMAC": what is sealed stays in the clear, the tag behind it.
MCGREW_GMAC = Aead(
    "4c80cdefbb5d10da906ac73c3613a634",
    "22433c64",
    "0000000000000000",
    "0000432100000007",
    "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f707172737401020201",
    "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f707172737401020201"
    "f2a9a836e155106aa8dcd618e4099aaa",
)

# RFC 7634 appendix A: the packet, and the ESP packet with its IP header.
RFC7634 = Aead(
    bytes(range(0x80, 0xA0)).hex(),
    "a0a1a2a3",
    "1011121314151617",
    "0102030400000005",
    "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b0c0d0e0f10111213"
    "1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363701020204",
    "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f7"
    "2aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e0"
    "76aaa8266b7fb0f7b11b369907e1ad43",
)
RFC7634_OUTER = "4500008c234500004032de5bcb007199cb007105"

# RFC 3566 section 4.6, cases 1 to 7 (message, AES-XCBC-MAC-96 under the key 00 01 ... 0f).
RFC3566_KEY = bytes(range(16)).hex()
RFC3566 = (
    ("", "75f0251d528ac01c4573dfd5"),
    (bytes(range(3)).hex(), "5b376580ae2f19afe7219cee"),
    (bytes(range(16)).hex(), "d2a246fa349b68a79998a439"),
    (bytes(range(20)).hex(), "47f51b4564966215b8985c63"),
    (bytes(range(32)).hex(), "f54f0ec8d2b9f3d36807734b"),
    (bytes(range(34)).hex(), "becbb3bccdb518a30677d548"),
    ("00" * 1000, "f0dafee895db30253761103b"),
)

# RFC 4494 section 4 (RFC 4493 section 4, truncated): prefixes of one message, by length.
RFC4494_KEY = "2b7e151628aed2a6abf7158809cf4f3c"
RFC4494_MESSAGE = (
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
RFC4494 = {
    0: "bb1d6929e95937287fa37d12",
    16: "070a16b46b4d4144f79bdd9d",
    40: "dfa66747de9ae63030ca3261",
    64: "51f0bebf7e3b9d92fc497417",
}


class Mac(NamedTuple):
    """``key`` as the RFC has it; ``icv`` truncated as IPsec does."""

    section: str
    auth: str
    key: str
    message: str
    icv: str


_HI, _WANT = b"Hi There".hex(), b"what do ya want for nothing?".hex()
_JEFE, _COUNT = b"Jefe".hex(), bytes(range(1, 26)).hex()
_LARGE = b"Test Using Larger Than Block-Size Key - Hash Key First".hex()
_LARGER = (
    b"This is a test using a larger than block-size key and a larger than block-size data. "
    b"The key needs to be hashed before being used by the HMAC algorithm."
).hex()
_TRUNC = b"Test With Truncation".hex()

HMACS = (
    Mac("RFC 2202 2, case 1", "hmac-md5", "0b" * 16, _HI, "9294727a3638bb1c13f48ef8"),
    Mac("RFC 2202 2, case 2", "hmac-md5", _JEFE, _WANT, "750c783e6ab0b503eaa86e31"),
    Mac("RFC 2202 2, case 3", "hmac-md5", "aa" * 16, "dd" * 50, "56be34521d144c88dbb8c733"),
    Mac("RFC 2202 2, case 5", "hmac-md5", "0c" * 16, _TRUNC, "56461ef2342edc00f9bab995"),
    Mac("RFC 2202 2, case 6", "hmac-md5", "aa" * 80, _LARGE, "6b1ab7fe4bd7bf8f0b62e6ce"),
    Mac("RFC 2202 3, case 1", "hmac-sha1", "0b" * 20, _HI, "b617318655057264e28bc0b6"),
    Mac("RFC 2202 3, case 2", "hmac-sha1", _JEFE, _WANT, "effcdf6ae5eb2fa2d27416d5"),
    Mac("RFC 2202 3, case 3", "hmac-sha1", "aa" * 20, "dd" * 50, "125d7342b9ac11cd91a39af4"),
    Mac("RFC 2202 3, case 5", "hmac-sha1", "0c" * 20, _TRUNC, "4c1a03424b55e07fe7f27be1"),
    Mac("RFC 2202 3, case 6", "hmac-sha1", "aa" * 80, _LARGE, "aa4ae5e15272d00e95705637"),
    Mac("RFC 4231 4.2", "hmac-sha256", "0b" * 20, _HI, "b0344c61d8db38535ca8afceaf0bf12b"),
    Mac("RFC 4231 4.2", "hmac-sha384", "0b" * 20, _HI, "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec6"),
    Mac(
        "RFC 4231 4.2",
        "hmac-sha512",
        "0b" * 20,
        _HI,
        "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde",
    ),
    Mac("RFC 4231 4.3", "hmac-sha256", _JEFE, _WANT, "5bdcc146bf60754e6a042426089575c7"),
    Mac("RFC 4231 4.3", "hmac-sha384", _JEFE, _WANT, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47"),
    Mac(
        "RFC 4231 4.3",
        "hmac-sha512",
        _JEFE,
        _WANT,
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554",
    ),
    Mac("RFC 4231 4.4", "hmac-sha256", "aa" * 20, "dd" * 50, "773ea91e36800e46854db8ebd09181a7"),
    Mac("RFC 4231 4.5", "hmac-sha256", _COUNT, "cd" * 50, "82558a389a443c0ea4cc819899f2083a"),
    Mac("RFC 4231 4.6", "hmac-sha256", "0c" * 20, _TRUNC, "a3b6167473100ee06e0c796c2955552b"),
    Mac("RFC 4231 4.7", "hmac-sha256", "aa" * 131, _LARGE, "60e431591ee0b67f0d8a26aacbf5b77f"),
    Mac("RFC 4231 4.7", "hmac-sha384", "aa" * 131, _LARGE, "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f"),
    Mac(
        "RFC 4231 4.7",
        "hmac-sha512",
        "aa" * 131,
        _LARGE,
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352",
    ),
    Mac("RFC 4231 4.8", "hmac-sha256", "aa" * 131, _LARGER, "9b09ffa71b942fcb27635fbcd5b0e944"),
    Mac("RFC 4868 2.7.2.1", "hmac-sha256", "0b" * 32, _HI, "198a607eb44bfbc69903a0f1cf2bbdc5"),
    Mac("RFC 4868 2.7.2.2", "hmac-sha384", "0b" * 48, _HI, "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"),
    Mac(
        "RFC 4868 2.7.2.3",
        "hmac-sha512",
        "0b" * 64,
        _HI,
        "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
    ),
)
