//! Character sets, by the numbers of their collations: names of all, texts of the common ones.

/// A character set, as both families call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(&'static str);

/// First and last collation of a run. Read from MariaDB 10.11 and MySQL 9.7.4; a test on real servers
/// compares.
const RUNS: &[(u16, u16, &str)] = &[
    (1, 1, "big5"),
    (2, 2, "latin2"),
    (3, 3, "dec8"),
    (4, 4, "cp850"),
    (5, 5, "latin1"),
    (6, 6, "hp8"),
    (7, 7, "koi8r"),
    (8, 8, "latin1"),
    (9, 9, "latin2"),
    (10, 10, "swe7"),
    (11, 11, "ascii"),
    (12, 12, "ujis"),
    (13, 13, "sjis"),
    (14, 14, "cp1251"),
    (15, 15, "latin1"),
    (16, 16, "hebrew"),
    (18, 18, "tis620"),
    (19, 19, "euckr"),
    (20, 20, "latin7"),
    (21, 21, "latin2"),
    (22, 22, "koi8u"),
    (23, 23, "cp1251"),
    (24, 24, "gb2312"),
    (25, 25, "greek"),
    (26, 26, "cp1250"),
    (27, 27, "latin2"),
    (28, 28, "gbk"),
    (29, 29, "cp1257"),
    (30, 30, "latin5"),
    (31, 31, "latin1"),
    (32, 32, "armscii8"),
    (33, 33, "utf8mb3"),
    (34, 34, "cp1250"),
    (35, 35, "ucs2"),
    (36, 36, "cp866"),
    (37, 37, "keybcs2"),
    (38, 38, "macce"),
    (39, 39, "macroman"),
    (40, 40, "cp852"),
    (41, 42, "latin7"),
    (43, 43, "macce"),
    (44, 44, "cp1250"),
    (45, 46, "utf8mb4"),
    (47, 49, "latin1"),
    (50, 52, "cp1251"),
    (53, 53, "macroman"),
    (54, 55, "utf16"),
    (56, 56, "utf16le"),
    (57, 57, "cp1256"),
    (58, 59, "cp1257"),
    (60, 61, "utf32"),
    (62, 62, "utf16le"),
    (63, 63, BINARY),
    (64, 64, "armscii8"),
    (65, 65, "ascii"),
    (66, 66, "cp1250"),
    (67, 67, "cp1256"),
    (68, 68, "cp866"),
    (69, 69, "dec8"),
    (70, 70, "greek"),
    (71, 71, "hebrew"),
    (72, 72, "hp8"),
    (73, 73, "keybcs2"),
    (74, 74, "koi8r"),
    (75, 75, "koi8u"),
    (76, 76, "utf8mb3"),
    (77, 77, "latin2"),
    (78, 78, "latin5"),
    (79, 79, "latin7"),
    (80, 80, "cp850"),
    (81, 81, "cp852"),
    (82, 82, "swe7"),
    (83, 83, "utf8mb3"),
    (84, 84, "big5"),
    (85, 85, "euckr"),
    (86, 86, "gb2312"),
    (87, 87, "gbk"),
    (88, 88, "sjis"),
    (89, 89, "tis620"),
    (90, 90, "ucs2"),
    (91, 91, "ujis"),
    (92, 93, "geostd8"),
    (94, 94, "latin1"),
    (95, 96, "cp932"),
    (97, 98, "eucjpms"),
    (99, 99, "cp1250"),
    (101, 124, "utf16"),
    (128, 151, "ucs2"),
    (159, 159, "ucs2"),
    (160, 183, "utf32"),
    (192, 215, "utf8mb3"),
    (223, 223, "utf8mb3"),
    (224, 247, "utf8mb4"),
    (248, 250, "gb18030"),
    (255, 323, "utf8mb4"),
    (576, 578, "utf8mb3"),
    (608, 610, "utf8mb4"),
    (640, 642, "ucs2"),
    (672, 674, "utf16"),
    (736, 738, "utf32"),
];

const BINARY: &str = "binary";
/// MariaDB's collations without padding: as many above the one that pads.
const NOPAD: u64 = 1024;
/// MariaDB's UCA 14.0.0: a block of 256 for each of these.
const UCA1400: u64 = 2048;
const UCA1400_BLOCKS: [&str; 5] = ["utf8mb3", "utf8mb4", "ucs2", "utf16", "utf32"];

impl Charset {
    /// That of a collation; `None` where it is unknown here.
    pub fn of_collation(id: u64) -> Option<Charset> {
        if let Some(above) = id.checked_sub(UCA1400) {
            let block = usize::try_from(above >> 8).ok()?;
            return UCA1400_BLOCKS.get(block).map(|&name| Charset(name));
        }
        let id = u16::try_from(if id >= NOPAD { id - NOPAD } else { id }).ok()?;
        let run = RUNS.iter().find(|(first, last, _)| (*first..=*last).contains(&id))?;
        Some(Charset(run.2))
    }

    /// As the servers name it.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Bytes, not text.
    pub fn is_binary(self) -> bool {
        self.0 == BINARY
    }

    /// The text, where these bytes are one in a character set that is converted here, exactly.
    pub fn text(self, bytes: &[u8]) -> Option<String> {
        match self.0 {
            "utf8mb4" | "utf8mb3" => std::str::from_utf8(bytes).ok().map(str::to_owned),
            "ascii" => {
                bytes.is_ascii().then(|| bytes.iter().map(|&byte| char::from(byte)).collect())
            }
            "latin1" => Some(bytes.iter().map(|&byte| latin1(byte)).collect()),
            "ucs2" | "utf16" => utf16(bytes, u16::from_be_bytes),
            "utf16le" => utf16(bytes, u16::from_le_bytes),
            "utf32" => {
                let (letters, rest) = bytes.as_chunks::<4>();
                let letters =
                    letters.iter().map(|letter| char::from_u32(u32::from_be_bytes(*letter)));
                if rest.is_empty() { letters.collect() } else { None }
            }
            _ => None,
        }
    }
}

/// Name of the character set of a collation, as the servers number them; `None` where it is unknown.
pub fn charset_of_collation(id: u64) -> Option<&'static str> {
    Charset::of_collation(id).map(Charset::name)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let letters = char::decode_utf16(units.iter().map(|&bytes| unit(bytes)));
    if rest.is_empty() { letters.collect::<Result<_, _>>().ok() } else { None }
}

/// The servers' latin1 is Windows' code page 1252; the five letters that it lacks are themselves.
fn latin1(byte: u8) -> char {
    const FROM_80: [u16; 32] = [
        0x20ac, 0x81, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8d, 0x017d, 0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013,
        0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d, 0x017e, 0x0178,
    ];
    let special = byte.checked_sub(0x80).and_then(|at| FROM_80.get(usize::from(at)));
    special.and_then(|&code| char::from_u32(u32::from(code))).unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collations_of_both_families() {
        let table = [
            (8, "latin1"),
            (33, "utf8mb3"),
            (255, "utf8mb4"),
            (63, "binary"),
            (1070, "utf8mb4"),
            (2304, "utf8mb4"),
            (3271, "utf32"),
            (249, "gb18030"),
        ];
        for (id, name) in table {
            assert_eq!(Charset::of_collation(id).map(Charset::name), Some(name), "{id}");
        }
        for unknown in [0, 17, 900, 3328, u64::MAX] {
            assert_eq!(Charset::of_collation(unknown), None, "{unknown}");
        }
        assert!(RUNS.is_sorted());
    }

    #[test]
    fn texts_and_what_is_none() {
        let text = |id, bytes: &[u8]| Charset::of_collation(id).unwrap().text(bytes);
        assert_eq!(text(8, b"\xe9\x80\x81\xff").as_deref(), Some("\u{e9}\u{20ac}\u{81}\u{ff}"));
        assert_eq!(text(54, b"\xd8\x3d\xde\xa2").as_deref(), Some("\u{1f6a2}"));
        assert_eq!(text(56, b"\x41\x00").as_deref(), Some("A"));
        assert_eq!(text(60, b"\x00\x01\xf6\xa2").as_deref(), Some("\u{1f6a2}"));
        assert_eq!(text(45, b"\xc3"), None);
        assert_eq!(text(54, b"\xd8\x3d"), None);
        assert_eq!(text(54, b"\x00"), None);
        assert_eq!(text(11, b"\x80"), None);
        assert_eq!(text(28, b"a"), None, "not converted here");
    }
}
